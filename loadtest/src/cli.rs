//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use tidegate_wire::is_client_name;

use crate::bench::BenchArgs;
use crate::clock;
use crate::outage::Outage;
use crate::payload::{CLIENTS_MAX, Payload, RUN_CHARS};
use crate::plan::Plan;
use crate::produce::ProduceArgs;
use crate::report::Report;
use crate::run::{Outcome, Run, Times};
use crate::target::{Carrier, Target, Url};
use crate::topic::{Ends, Topic};
use crate::usage::{Process, raise_open_files};
use crate::verify::{Recount, Verdict};

/// Files that a run has open besides a socket for each client.
const FILES_BESIDES: u64 = 100;

/// Puts load on a Tidegate gateway, and counts what becomes of every event.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends events from many clients, and says what became of them.
    ///
    /// Exit status 1: an event was neither acknowledged nor refused, an acknowledged one is missing, one came twice or out
    /// of order, or the run broke off; 2: it could not start.
    Run(Box<RunArgs>),
    /// Produces into Kafka directly, as a measure of the gateway.
    Produce(ProduceArgs),
    /// Measures all figures of `docs/benchmarks.md` side by side, and writes it.
    Bench(Box<BenchArgs>),
}

/// How to send.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a switch of the command line is one")]
pub(crate) struct RunArgs {
    /// The gateway: https://HOST:PORT, or http://HOST:PORT for its listener without TLS.
    pub(crate) url: Url,
    /// What to send over.
    #[arg(long, value_enum, default_value_t = Carrier::Websocket)]
    pub(crate) carrier: Carrier,
    /// How many clients.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub(crate) clients: u32,
    /// Threads that the clients run on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Events a second over all clients, at fixed times (open loop); 0 only holds the connections. Without it: as fast
    /// as credit allows.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) rate: Option<f64>,
    /// Events in one frame or request; a client sends a frame when credit allows the whole of it.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) duration: f64,
    /// Seconds to send before measuring.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) warm_up: f64,
    /// Send this many events in all, rounded up to whole frames of every client, and end then instead of after a time.
    /// All of them are measured.
    #[arg(long)]
    pub(crate) events: Option<u64>,
    /// Seconds that the last events may take to settle; with --events, that any may.
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(crate) grace: f64,
    /// Seconds that a client tries to come back after its connection broke.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) reconnect: f64,
    /// Bytes of a synthetic event.
    #[arg(long, default_value_t = 200)]
    pub(crate) size: usize,
    /// Send the events of this file (one JSON event a line) over and over, instead of synthetic ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// Send without heeding credit.
    #[arg(long)]
    pub(crate) ignore_credit: bool,
    /// Ask for no acknowledgement: lossy events; over HTTPS `Prefer: respond-async`.
    #[arg(long)]
    pub(crate) unacknowledged: bool,
    /// Over HTTPS: number the events by session headers, so that repeated ones are recognised.
    #[arg(long)]
    pub(crate) numbered: bool,
    /// Name the clients NAME-0, NAME-1 and so on, as a token limited to client names may ask for. Two runs at once need
    /// different names. Default: a name for each run.
    #[arg(long, value_name = "NAME", value_parser = client_prefix)]
    pub(crate) client_prefix: Option<String>,
    /// A token to show.
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// PEM certificates to trust. Without it a gateway on this machine is trusted whatever it shows, and no other.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Stop this process for a while in the middle of the run, such as Kafka, and tell latencies before, during and
    /// after apart.
    #[arg(long, value_name = "PID", requires = "freeze_for")]
    pub(crate) freeze: Option<u32>,
    /// Seconds after the warm-up when it is stopped.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, requires = "freeze")]
    pub(crate) freeze_after: f64,
    /// Seconds for which it is stopped.
    #[arg(long, value_parser = seconds, requires = "freeze")]
    pub(crate) freeze_for: Option<f64>,
    /// Count CPU and memory of this process: the gateway's.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Kafka, to read the topic back from.
    #[arg(long, requires = "topic")]
    pub(crate) brokers: Option<String>,
    /// The topic that the events go to: what arrives in it is what is counted.
    #[arg(long, requires = "brokers")]
    pub(crate) topic: Option<String>,
    /// Read the topic back and count loss, duplicates and disorder: with any of these the run fails.
    #[arg(long, requires = "topic")]
    pub(crate) verify: bool,
    /// Let the run pass with duplicates and disorder: at-least-once delivery allows both after a gateway was killed.
    #[arg(long, requires = "verify")]
    pub(crate) allow_duplicates: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl RunArgs {
    /// Runs it. An error is what prevented it; faults of a run that took place are in the report.
    pub(crate) fn run(self) -> Result<Report> {
        self.check()?;
        let plan = self.plan()?;
        let target = Target::new(self.url.clone(), self.ca.as_ref())?;
        let topic = self.topic()?;
        let before: Option<Ends> = topic.as_ref().map(Topic::ends).transpose()?;
        let counted = self.topic()?;
        let run = Run {
            target,
            token: self.token.clone(),
            threads: self.threads.min(self.clients),
            times: self.times(),
            pid: self.pid.map(Process),
            observe: counted.map(|topic| Box::new(move || topic.count()) as Box<dyn Fn() -> Result<u64>>),
        };
        let outcome = run.run(plan)?;
        let verified = match (topic, before) {
            (Some(topic), Some(before)) if self.verify => Some(verify(&topic, &before, &outcome)),
            _ => None,
        };
        // What the run saw is said, also if the topic cannot be read.
        Ok(Report::new(&outcome, verified.transpose()))
    }

    /// Says what is wrong with arguments that are right one by one.
    fn check(&self) -> Result<()> {
        let is_https = self.carrier == Carrier::Https;
        if self.numbered && !is_https {
            bail!("--numbered is for --carrier https: sessions are always numbered");
        }
        if self.client_prefix.is_some() && is_https && !self.numbered {
            bail!(
                "--client-prefix is for sessions, and for --carrier https with --numbered: other requests name no client"
            );
        }
        if self.ignore_credit && is_https {
            bail!("--ignore-credit is for sessions: over https a client waits for each answer");
        }
        if self.carrier.is_udp() && !self.url.secure {
            bail!("--carrier {}: needs an https:// address, the gateway's secure listener", self.carrier);
        }
        if self.duration == 0.0 && self.events.is_none() {
            bail!("--duration 0: more than 0 seconds, or --events for a number of events");
        }
        let frozen_until = self.freeze_for.map(|seconds| self.freeze_after + seconds);
        if frozen_until.is_some_and(|until| until > self.duration || self.events.is_some()) {
            bail!("--freeze-after and --freeze-for: together at most --duration, and not with --events");
        }
        if self.events == Some(0) {
            bail!("--events 0: one at least; to only hold connections there is --rate 0");
        }
        let files = raise_open_files();
        if self.carrier.needs_files() && u64::from(self.clients) + FILES_BESIDES > files {
            bail!("--clients {}: this process may only open {files} files (`ulimit -Hn`)", self.clients);
        }
        Ok(())
    }

    fn topic(&self) -> Result<Option<Topic>> {
        self.brokers
            .as_ref()
            .zip(self.topic.as_ref())
            .map(|(brokers, topic)| Topic::open(brokers, topic))
            .transpose()
    }

    fn times(&self) -> Times {
        // With a number of events the run is over when they are settled, or when nothing settles any more.
        const NO_END: Duration = Duration::from_secs(24 * 3_600);
        let seconds = Duration::from_secs_f64;
        Times {
            connect: Duration::from_secs(30) + Duration::from_millis(20) * self.clients,
            warm_up: if self.events.is_some() { Duration::ZERO } else { seconds(self.warm_up) },
            duration: if self.events.is_some() { NO_END } else { seconds(self.duration) },
            grace: seconds(self.grace),
        }
    }

    fn outage(&self) -> Option<Outage> {
        let (process, seconds) = self.freeze.zip(self.freeze_for)?;
        let (after, lasts) = (Duration::from_secs_f64(self.freeze_after), Duration::from_secs_f64(seconds));
        Some(Outage { process, after, lasts })
    }

    fn plan(&self) -> Result<Plan> {
        let run = run_name();
        let payload = match &self.payload {
            None => Payload::synthetic(&run, self.size)?,
            Some(path) => Payload::recording(&run, path)?,
        };
        let frames = f64::from(self.batch) * f64::from(self.clients);
        let interval = match self.rate {
            None | Some(0.0) => None,
            Some(rate) if rate.is_finite() && rate > 0.0 => {
                Some(Duration::try_from_secs_f64(frames / rate).context("--rate is too small")?)
            }
            Some(rate) => bail!("--rate {rate}: events a second, 0 or more"),
        };
        let per_frame = u64::from(self.batch) * u64::from(self.clients);
        let frames = if self.rate == Some(0.0) {
            Some(0)
        } else {
            self.events.map(|events| events.div_ceil(per_frame))
        };
        let client_prefix = self.client_prefix.clone().unwrap_or_else(|| format!("loadtest-{run}"));
        Ok(Plan {
            run,
            client_prefix,
            epoch: clock::wall_ms(),
            carrier: self.carrier,
            clients: self.clients,
            batch: self.batch,
            interval,
            frames,
            payload,
            obedient: !self.ignore_credit,
            unacknowledged: self.unacknowledged,
            numbered: self.numbered,
            reconnect_for: Duration::from_secs_f64(self.reconnect),
            outage: self.outage(),
        })
    }
}

fn verify(topic: &Topic, before: &Ends, outcome: &Outcome) -> Result<Verdict> {
    let mut recount = Recount::new(&outcome.tally.clients);
    topic.read(before, &outcome.shared.plan.payload, |partition, event| recount.event(partition, event))?;
    Ok(recount.judge())
}

/// Differs between runs: eight characters of the time.
fn run_name() -> String {
    let name = format!("{:x}", clock::wall_nanos() / 1_000);
    let skip = name.len().saturating_sub(RUN_CHARS);
    name.chars().skip(skip).collect()
}

fn client_prefix(text: &str) -> Result<String, String> {
    // A name is valid with any number where it is with the longest.
    if is_client_name(&format!("{text}-{CLIENTS_MAX}")) && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 122 of A-Z a-z 0-9 . _ : -".into())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, from 0 to 86400".into()),
    }
}
