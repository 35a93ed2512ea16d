//! What asks the process to end.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clock;

/// A signal that comes so soon after another says the same.
const ECHO: Duration = Duration::from_millis(500);

/// What asks the process to end.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Resolves with the next signal that is not the echo of the one before: some send a signal to a process, and
    /// again to its group.
    pub(super) async fn insist(&mut self) {
        let asked_at = clock();
        loop {
            self.next().await;
            if asked_at.elapsed() >= ECHO {
                return;
            }
        }
    }
}
