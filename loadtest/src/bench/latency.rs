//! What the gateway adds to the time that Kafka takes, and how soon it answers while little flows.

use anyhow::Result;

use super::cores::Split;
use super::figures::{CLIENTS, Figures, number};
use super::parts::{Bench, Gateway, TOPIC, loadtest};

/// Events a second at which batching has nothing to wait for.
pub(crate) const LOW_RATE: u32 = 100;
/// Clients that send them.
const LOW_RATE_CLIENTS: u32 = 10;

/// Shares of the highest rate.
pub(crate) const LOADS: [Load; 3] = [
    Load { name: "an eighth", of: 8.0 },
    Load { name: "a quarter", of: 4.0 },
    Load { name: "half", of: 2.0 },
];

/// A rate to measure at.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    of: f64,
}

/// Who sends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// Clients by the gateway.
    Gateway,
    /// A producer in the place of the clients: the same keys and batches at the same times.
    Direct,
}

impl Load {
    /// Names of a figure's series.
    pub(crate) fn series(self, way: Way, what: &str) -> String {
        let way = if way == Way::Direct { "direct" } else { "gateway" };
        format!("{} of the highest rate, {way}, {what}", self.name)
    }
}

impl Figures {
    /// Both ways at each load, in turns, and the low rate.
    pub(super) fn latency(&mut self, bench: &Bench) -> Result<()> {
        let split = Split::new(bench.kafka())?;
        // The same linger on both sides; the low rate is for the default.
        let gateway = bench.gateway("kafka.properties.\"linger.ms\" = \"5\"")?;
        let adaptive = bench.gateway("")?;
        let highest = highest_rate(&gateway)?;
        self.push("highest rate", highest);
        for round in 0..bench.args.pairs {
            let mut ways = [Way::Direct, Way::Gateway];
            if round % 2 == 1 {
                ways.reverse();
            }
            for load in LOADS {
                for way in ways {
                    self.load(bench, &gateway, (load, way), (highest / load.of).round(), split.as_ref())?;
                }
            }
            for way in ways {
                self.low_rate(bench, &adaptive, way)?;
            }
        }
        Ok(())
    }

    fn load(
        &mut self,
        bench: &Bench,
        gateway: &Gateway,
        (load, way): (Load, Way),
        rate: f64,
        split: Option<&Split>,
    ) -> Result<()> {
        let watch = split.map(Split::load).transpose()?;
        let time = format!("--batch 64 --rate {rate} --duration {} --warm-up 1", bench.args.seconds);
        let seen = loadtest(&match way {
            Way::Direct => {
                format!("produce --brokers {} --topic {TOPIC} --keys {CLIENTS} {time}", bench.brokers)
            }
            Way::Gateway => format!("run https://{} --json --clients {CLIENTS} {time}", gateway.secure),
        })?;
        for quantile in ["p50", "p99"] {
            self.push(&load.series(way, quantile), number(&seen, &format!("/latency_ms/{quantile}"))?);
        }
        if let Some(watch) = watch {
            self.push(&load.series(way, "busy %"), watch.busy()? * 100.0);
        }
        Ok(())
    }

    /// The default against a producer that never lingers.
    fn low_rate(&mut self, bench: &Bench, gateway: &Gateway, way: Way) -> Result<()> {
        let time = format!("--batch 1 --rate {LOW_RATE} --duration {} --warm-up 1", bench.args.seconds);
        let (name, seen) = match way {
            Way::Direct => {
                let (brokers, keys) = (&bench.brokers, LOW_RATE_CLIENTS);
                let run =
                    format!("produce --brokers {brokers} --topic {TOPIC} --keys {keys} --linger 0 {time}");
                ("low rate, direct", loadtest(&run)?)
            }
            Way::Gateway => {
                let run =
                    format!("run https://{} --json --clients {LOW_RATE_CLIENTS} {time}", gateway.secure);
                ("low rate, gateway", loadtest(&run)?)
            }
        };
        for quantile in ["p50", "p99"] {
            self.push(&format!("{name}, {quantile}"), number(&seen, &format!("/latency_ms/{quantile}"))?);
        }
        Ok(())
    }
}

/// What the gateway can do on the cores it has here.
fn highest_rate(gateway: &Gateway) -> Result<f64> {
    let run = format!("run https://{} --json --clients {CLIENTS} --duration 3 --warm-up 1", gateway.secure);
    number(&loadtest(&run)?, "/window/events_per_second")
}
