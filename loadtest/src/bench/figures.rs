//! What is measured, and how rounds are made: A B C, C B A, A B C ..., so that a machine that gets slower or faster favours
//! none.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::memory::Group;
use super::parts::{Bench, Gateway, TOPIC, loadtest, loadtest_until};
use super::series::Series;
use crate::topic::Topic;
use crate::usage::Process;

/// Clients of a measurement at full speed.
pub(super) const CLIENTS: u32 = 32;
/// Of one with single events: each waits for its answers, so it takes more to be busy.
const CLIENTS_SINGLE: u32 = 256;
/// Idle connections whose memory is measured.
pub(crate) const IDLE: u32 = 2_000;
/// Few and many connections with the same load.
pub(crate) const FEW: u32 = 100;
pub(crate) const MANY: u32 = 15_000;
/// Events a second over them.
pub(crate) const SHARED_RATE: u32 = 15_000;

/// Every series by its name.
#[derive(Default)]
pub(crate) struct Figures {
    series: BTreeMap<String, Series>,
    /// What is told in words.
    pub(super) notes: BTreeMap<String, String>,
    /// What memory includes.
    pub(crate) kernel_included: bool,
}

/// What a 200-byte event becomes: a CloudEvent as JSON, with its client as the key.
const COMPLETED: &str = "--size 400 --keys 32 --batch 64";

/// A way to send at full speed: name, arguments of `loadtest`.
struct Load {
    name: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Producer(&'static str),
    FixedLinger,
    /// At half speed: nothing holds lossy events back, and at full speed some would be dropped.
    Paced(&'static str),
    Secure(&'static str, u32),
    Plain(u32),
    Baseline(u32),
}

/// Names of the measurements of cost: events per CPU-second.
const COST: [Load; 17] = [
    Load { name: "producer", what: What::Producer("") },
    Load { name: "producer of completed events", what: What::Producer(COMPLETED) },
    Load { name: "websocket 64", what: What::Secure("websocket", 64) },
    Load { name: "websocket 64 fixed linger", what: What::FixedLinger },
    Load { name: "webtransport 64", what: What::Secure("webtransport", 64) },
    Load { name: "quic 64", what: What::Secure("quic", 64) },
    Load { name: "https 64", what: What::Secure("https", 64) },
    Load { name: "websocket 1", what: What::Secure("websocket", 1) },
    Load { name: "webtransport 1", what: What::Secure("webtransport", 1) },
    Load { name: "quic 1", what: What::Secure("quic", 1) },
    Load { name: "https 1", what: What::Secure("https", 1) },
    Load { name: "acknowledged at a pace", what: What::Paced("") },
    Load { name: "unacknowledged at a pace", what: What::Paced("--unacknowledged") },
    Load { name: "http 100", what: What::Plain(100) },
    Load { name: "axum 100", what: What::Baseline(100) },
    Load { name: "http 1", what: What::Plain(1) },
    Load { name: "axum 1", what: What::Baseline(1) },
];

impl Figures {
    /// A series; empty where it was not measured.
    pub(crate) fn get(&self, name: &str) -> Series {
        self.series.get(name).cloned().unwrap_or_default()
    }

    /// Measures one group.
    pub(crate) fn measure(&mut self, group: &str, bench: &mut Bench) -> Result<()> {
        match group {
            "start" => self.start(bench),
            "cost" => self.cost(bench),
            "latency" => self.latency(bench),
            "memory" => self.memory(bench),
            "connections" => self.connections(bench),
            "modes" => self.modes(bench),
            "fairness" => self.fairness(bench),
            "outages" => self.outages(bench),
            "restart" => self.restart(bench),
            other => bail!("no group {other}"),
        }
    }

    pub(super) fn push(&mut self, name: &str, value: f64) {
        eprintln!("bench:   {name}: {value:.2}");
        self.series.entry(name.to_owned()).or_default().push(value);
    }

    fn start(&mut self, bench: &Bench) -> Result<()> {
        for _ in 0..bench.args.pairs {
            let gateway = bench.gateway_on_log()?;
            self.push("start ms", gateway.ready_after.as_secs_f64() * 1_000.0);
        }
        Ok(())
    }

    fn cost(&mut self, bench: &Bench) -> Result<()> {
        let gateway = bench.gateway("")?;
        let fixed = bench.gateway("kafka.properties.\"linger.ms\" = \"5\"")?;
        let (baseline, url) = bench.baseline()?;
        let topic = Topic::open(&bench.brokers, TOPIC)?;
        let pace = half_load(&gateway)?;
        for round in 0..bench.args.pairs {
            let mut loads: Vec<&Load> = COST.iter().collect();
            if round % 2 == 1 {
                loads.reverse();
            }
            for load in loads {
                let gateway = if matches!(load.what, What::FixedLinger) { &fixed } else { &gateway };
                let arguments = arguments(load.what, bench, gateway, (&url, baseline.pid()), pace);
                let seen = complete(load.what, &arguments, &topic).with_context(|| load.name)?;
                let at = if matches!(load.what, What::Producer(_)) { "" } else { "/window" };
                self.push(load.name, number(&seen, &format!("{at}/events_per_cpu_second"))?);
                let per_second =
                    number(&seen, &format!("{at}/events"))? / number(&seen, &format!("{at}/seconds"))?;
                self.push(&format!("{}: events/s", load.name), per_second);
            }
        }
        Ok(())
    }

    fn memory(&mut self, bench: &Bench) -> Result<()> {
        self.kernel_included = Group::create().is_some();
        for _ in 0..bench.args.pairs {
            for carrier in ["websocket", "webtransport"] {
                let gateway = bench.gateway_in_group("")?;
                if gateway.group.is_some() != self.kernel_included {
                    bail!("control groups could be made only now and then");
                }
                let url = format!("https://{}", gateway.secure);
                // What the first connections of a carrier bring along is not a matter of each.
                loadtest(&format!(
                    "run {url} --json --carrier {carrier} --clients 20 --rate 0 --duration 0.2 --warm-up 0"
                ))?;
                std::thread::sleep(Duration::from_millis(500));
                let before = held(&gateway)?;
                let arguments = format!(
                    "run {url} --json --carrier {carrier} --clients {IDLE} --rate 0 --duration 600 --warm-up 0"
                );
                let held = loadtest_until(&arguments, || {
                    gateway.wait_for_sessions(IDLE)?;
                    // Handshakes leave buffers behind that are given back a moment later.
                    std::thread::sleep(Duration::from_secs(1));
                    held(&gateway)
                })?;
                self.push(&format!("{carrier} KiB"), (held - before) / 1_024.0 / f64::from(IDLE));
            }
        }
        Ok(())
    }

    fn connections(&mut self, bench: &Bench) -> Result<()> {
        let gateway = bench.gateway("")?;
        for round in 0..bench.args.pairs {
            let mut counts = [FEW, MANY];
            if round % 2 == 1 {
                counts.reverse();
            }
            for clients in counts {
                let seen = loadtest(&format!(
                    "run https://{} --json --clients {clients} --batch 1 --rate {SHARED_RATE} --duration {} --warm-up 3 --pid {}",
                    gateway.secure,
                    bench.args.seconds,
                    gateway.pid()
                ))?;
                let micros = number(&seen, "/window/cpu_seconds")? / number(&seen, "/window/events")? * 1e6;
                self.push(&format!("{clients} connections us"), micros);
            }
        }
        Ok(())
    }
}

/// Half of what the gateway can do beside clients and Kafka on this machine.
fn half_load(gateway: &Gateway) -> Result<f64> {
    let run = format!("run https://{} --json --clients {CLIENTS} --duration 3 --warm-up 1", gateway.secure);
    Ok((number(&loadtest(&run)?, "/window/events_per_second")? / 2.0).round())
}

fn arguments(what: What, bench: &Bench, gateway: &Gateway, baseline: (&str, u32), pace: f64) -> String {
    let (brokers, seconds) = (&bench.brokers, bench.args.seconds);
    let time = format!("--duration {seconds} --warm-up 1");
    let secure = format!("https://{}", gateway.secure);
    let (url, pid, more) = match what {
        What::Producer(more) => return format!("produce --brokers {brokers} --topic {TOPIC} {more} {time}"),
        What::Secure(carrier, batch) => {
            (secure, gateway.pid(), format!("--carrier {carrier} --batch {batch}"))
        }
        What::FixedLinger => (secure, gateway.pid(), String::new()),
        What::Paced(more) => (secure, gateway.pid(), format!("--rate {pace:.0} {more}")),
        What::Plain(batch) => {
            (format!("http://{}", gateway.plain), gateway.pid(), format!("--carrier https --batch {batch}"))
        }
        What::Baseline(batch) => {
            (baseline.0.to_owned(), baseline.1, format!("--carrier https --batch {batch}"))
        }
    };
    let single = matches!(what, What::Secure(_, 1) | What::Plain(1) | What::Baseline(1));
    let clients = if single { CLIENTS_SINGLE } else { CLIENTS };
    // What counts is what arrives in the topic, whoever says so.
    format!(
        "run {url} --json --clients {clients} {time} --pid {pid} --brokers {brokers} --topic {TOPIC} {more}"
    )
}

/// Runs it until all that was acknowledged has arrived, three times at most. Nobody else writes to the topic. Of lossy
/// events nearly all must arrive, or their figure would be one of dropping.
fn complete(what: What, arguments: &str, topic: &Topic) -> Result<serde_json::Value> {
    for _ in 0..3 {
        let before = topic.count()?;
        let seen = loadtest(arguments)?;
        let arrived = crate::report::float(topic.count()? - before);
        let is_lossy = matches!(what, What::Paced("--unacknowledged"));
        let expected = match what {
            What::Producer(_) => number(&seen, "/events")?,
            _ if is_lossy => number(&seen, "/sent")? * 0.99,
            _ => number(&seen, "/acknowledged")?,
        };
        if arrived >= expected && number(&seen, "/refused").unwrap_or(0.0) < 1.0 {
            return Ok(seen);
        }
        if !is_lossy {
            bail!("{arrived} events arrived of {expected}, or some were refused: there is no figure");
        }
        eprintln!("bench:   {arrived} of {expected} lossy events arrived; once more");
    }
    bail!("too many lossy events were dropped, three times: the machine is too busy for a figure")
}

/// Bytes that a gateway holds, with the kernel's where they can be told.
fn held(gateway: &Gateway) -> Result<f64> {
    let bytes = match &gateway.group {
        Some(group) => group.bytes()?,
        None => Process(gateway.pid()).resident_bytes()?,
    };
    Ok(crate::report::float(bytes))
}

/// The number at a place in what `loadtest` printed (RFC 6901).
pub(super) fn number(seen: &serde_json::Value, place: &str) -> Result<f64> {
    seen.pointer(place)
        .and_then(serde_json::Value::as_f64)
        .with_context(|| format!("no number at {place} in {seen}"))
}
