//! `tidegate` and `tidegate serve`.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result};
use tracing_subscriber::EnvFilter;

use super::blame;
use crate::app;
use crate::config::{Format, Loaded, Logging};

/// Serves until a signal says otherwise, and everything received has settled or the drain deadline has passed.
pub(super) fn run(loaded: &Loaded) -> Result<()> {
    log_to_stderr(&loaded.config.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.context("cannot start the runtime")?.block_on(app::run(loaded));
    served.map_err(|error| blame::blame(loaded, error))
}

/// The file alone decides what is logged; `RUST_LOG` is not looked at.
fn log_to_stderr(logging: &Logging) -> Result<()> {
    let filter = EnvFilter::builder().parse(&logging.level).context("logging.level")?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = match logging.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
