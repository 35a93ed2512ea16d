//! What the operating system says of this process, read at each scrape.

use std::fmt;

use procfs::WithCurrentSystemInfo as _;
use procfs::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// Registers the process series under the registry's prefix.
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(ProcessCollector));
}

#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        // Where /proc is missing the series are missing too, rather than wrong.
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let cpu = to_f64(stat.utime + stat.stime) / to_f64(procfs::ticks_per_second());
            let cpu = ConstCounter::new(cpu);
            let help = "CPU time used, user and system";
            cpu.encode(encoder.encode_descriptor(
                "process_cpu",
                help,
                Some(&Unit::Seconds),
                cpu_type(&cpu),
            )?)?;
            gauge(
                &mut encoder,
                "process_resident_memory",
                "Resident memory",
                Some(&Unit::Bytes),
                stat.rss_bytes().get(),
            )?;
            gauge(
                &mut encoder,
                "process_threads",
                "Threads",
                None,
                u64::try_from(stat.num_threads).unwrap_or(0),
            )?;
        }
        if let Ok(open) = process.fd_count() {
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", None, open as u64)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let metric_type = gauge.metric_type();
    gauge.encode(encoder.encode_descriptor(name, help, unit, metric_type)?)
}

fn cpu_type(counter: &ConstCounter<f64>) -> prometheus_client::metrics::MetricType {
    counter.metric_type()
}

#[expect(clippy::cast_precision_loss, reason = "clock ticks stay far below 2^52 for centuries")]
fn to_f64(ticks: u64) -> f64 {
    ticks as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_and_threads() {
        let mut registry = Registry::with_prefix("tidegate");
        register(&mut registry);
        let text = super::super::text(&registry).unwrap();
        for series in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
        ] {
            assert!(text.contains(&format!("tidegate_{series} ")), "{series} is not in\n{text}");
        }
    }
}
