//! The benchmarks: every figure of `docs/benchmarks.md`, measured side by side in one run and written there.

mod cores;
mod document;
mod figures;
mod latency;
mod memory;
mod outages;
mod parts;
mod plot;
mod series;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::figures::Figures;
use self::parts::Bench;

/// What to measure with what.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    /// The gateway's binary, a release build.
    #[arg(long)]
    pub(crate) gateway: PathBuf,
    /// The binary of `loadtest/baselines`, a release build.
    #[arg(long)]
    pub(crate) baseline: PathBuf,
    /// The script that starts Kafka.
    #[arg(long, default_value = "scripts/kafka")]
    pub(crate) kafka: PathBuf,
    /// Where the document goes, with its plot beside it.
    #[arg(long, default_value = "docs/benchmarks.md")]
    pub(crate) out: PathBuf,
    /// How often each comparison is made.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pairs: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Seconds for which Kafka is away.
    #[arg(long, default_value_t = 60.0)]
    pub(crate) outage: f64,
    /// Only these groups, and write no document: cost, latency, memory, connections, start, modes, fairness, outages,
    /// restart.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

/// The groups, in the order in which they run.
const GROUPS: [&str; 9] =
    ["start", "cost", "latency", "memory", "connections", "modes", "fairness", "outages", "restart"];

impl BenchArgs {
    /// Measures everything, prints it, and writes the document.
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(unknown) = self.only.iter().find(|only| !GROUPS.contains(&only.as_str())) {
            bail!("--only {unknown}: expected some of {}", GROUPS.join(", "));
        }
        let mut bench = Bench::start(self)?;
        let mut figures = Figures::default();
        for group in
            GROUPS.iter().filter(|group| self.only.is_empty() || self.only.iter().any(|only| only == *group))
        {
            eprintln!("bench: {group}");
            figures.measure(group, &mut bench).with_context(|| format!("group {group}"))?;
        }
        let text = document::write(&figures, self);
        crate::say(&text)?;
        if self.only.is_empty() {
            std::fs::write(&self.out, text).with_context(|| format!("--out {}", self.out.display()))?;
            let plot = self.out.with_extension("svg");
            std::fs::write(&plot, plot::cost(&figures)).with_context(|| format!("{}", plot.display()))?;
        }
        Ok(())
    }
}
