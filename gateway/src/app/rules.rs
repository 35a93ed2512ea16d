//! Rules while the gateway runs: what they have done, and others in their place on SIGHUP and when the file changes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Loaded};
use crate::listen::tls::written;
use crate::metrics::rules::{ReloadSeries, RuleCounts, register};
use crate::pipeline::Pipeline;

/// Registers what rules have done.
pub(super) fn count(pipeline: &Arc<Pipeline>, registry: &mut Registry) {
    let pipeline = Arc::clone(pipeline);
    register(registry, move || counts(&pipeline));
}

fn counts(pipeline: &Pipeline) -> Vec<RuleCounts> {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let current = pipeline.rules();
    let rules = current.tallies().map(|(route, rule)| RuleCounts {
        route: route.to_owned(),
        operator: rule.operator().name(),
        rule: rule.name().to_owned(),
        is_shadow: rule.is_shadow(),
        kept: read(&rule.counts().kept),
        dropped: read(&rule.counts().dropped),
        changed: read(&rule.counts().changed),
        faults: read(&rule.counts().faults),
        timed: read(&rule.counts().timed),
        timed_ns: read(&rule.counts().timed_ns),
    });
    rules.collect()
}

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The configuration in use, its file, and the rules that follow it.
pub(super) struct Reload {
    in_use: Config,
    path: Option<PathBuf>,
    pipeline: Arc<Pipeline>,
    series: ReloadSeries,
    refused: Refused,
    hangups: Signal,
}

/// Why the file is not what is in use, if it is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused(Arc<Mutex<Option<String>>>);

impl Refused {
    /// A sentence for operators.
    pub(super) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

impl Reload {
    /// Waits for SIGHUP from now on, which would otherwise end the process.
    pub(super) fn new(loaded: &Loaded, pipeline: Arc<Pipeline>, series: ReloadSeries) -> Result<Self> {
        let hangups = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        let (in_use, path) = (loaded.config.clone(), loaded.path.clone());
        Ok(Self { in_use, path, pipeline, series, refused: Refused::default(), hangups })
    }

    pub(super) fn refused(&self) -> Refused {
        self.refused.clone()
    }

    /// Takes up what is written, until `shutdown`.
    pub(super) async fn watch(mut self, shutdown: CancellationToken) {
        let mut seen = self.path.as_deref().map(written);
        loop {
            let is_asked = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = self.hangups.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let there = self.path.as_deref().map(written);
            if is_asked || there != seen {
                seen = there;
                self.take().await;
            }
        }
    }

    async fn take(&mut self) {
        let Some(path) = self.path.clone() else {
            tracing::warn!(
                "SIGHUP: the gateway runs without a configuration file, so there is none to read again"
            );
            return;
        };
        let read = tokio::task::spawn_blocking(move || Loaded::read(Some(&path))).await;
        let taken = match read {
            Ok(Ok(loaded)) => self.replace(loaded.config),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match taken {
            Ok(false) => {}
            Ok(true) => {
                self.series.applied();
                tracing::info!("the rules were replaced by those of the configuration file");
            }
            Err(why) => {
                self.series.refused();
                tracing::error!("the configuration file was not taken up, the rules in use stay: {why}");
                self.refused
                    .set(Some(format!("the configuration file is not what is in use: {}", first_line(&why))));
                return;
            }
        }
        self.series.in_use();
        self.refused.set(None);
    }

    /// Whether the rules were replaced.
    fn replace(&mut self, new: Config) -> Result<bool, String> {
        if new == self.in_use {
            return Ok(false);
        }
        if let Some(why) = self.in_use.needs_restart(&new) {
            return Err(why);
        }
        self.pipeline.replace(&new.routes).map_err(|problem| problem.to_string())?;
        self.in_use = new;
        Ok(true)
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
