//! Sessions: from HELLO to CLOSE on any carrier, and the same for one HTTP request.
//!
//! A connection is one task that reads and writes at once; its numbering outlives it. Time is asked for here
//! and in `deliver`, nowhere else.

mod accounts;
mod aggregates;
mod budget;
mod connection;
mod core;
mod credit;
mod hello;
mod hold;
mod idle;
mod inflight;
mod ingest;
mod need;
mod numbering;
mod orders;
mod post;
mod reader;
mod registry;
mod snapshot;
mod timed;
mod window;
mod writer;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
#[cfg(not(test))]
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_wire::Reason;

use self::core::Core;
pub use self::core::Parts;
use crate::carrier::Carrier;
use crate::listen::link::{Answer, Gate, Link, Peer, Post};
use crate::metrics::CarrierSeries;
use crate::outcome::Outcome;

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Core>);

impl Sessions {
    /// No sessions yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Core::new(parts)))
    }

    /// Asks every client to leave (GOAWAY); new ones are refused from here on.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Takes up what a gateway before this one knew of its clients, before anybody is served. What it says is in the log.
    pub fn restore(&self, path: &Path) {
        match snapshot::read(path) {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                let is_last_word = snapshot.is_last_word;
                let clients = self.0.registry.restore(snapshot, (now(), wall_ms()));
                tracing::info!(clients, is_last_word, "clients continue where they were before the restart");
            }
            Err(error) => tracing::warn!(
                path = %path.display(), %error,
                "sessions.snapshot cannot be used: clients may repeat what they sent before the restart"
            ),
        }
    }

    /// Says that this gateway serves: what it found of one before it is no last word any more.
    pub fn use_up(&self, path: &Path) {
        if let Err(error) = snapshot::use_up(path) {
            tracing::warn!(path = %path.display(), %error, "sessions.snapshot cannot be renamed");
        }
    }

    /// Leaves what is known of clients to the gateway that comes after this one. Blocks, and is right only once nothing
    /// more settles.
    pub fn keep(&self, path: &Path) {
        let clients = self.0.registry.snapshot((now(), wall_ms()));
        match snapshot::write(path, &clients) {
            Ok(written) => {
                tracing::info!(
                    clients = written,
                    left_out = clients.len() - written,
                    "kept how far clients are"
                );
            }
            Err(error) => tracing::warn!(
                path = %path.display(), %error,
                "sessions.snapshot cannot be written: clients may repeat what they sent before the restart"
            ),
        }
    }

    /// Events received and without an outcome yet.
    pub fn in_flight(&self) -> u64 {
        self.over_carriers(|series| u64::try_from(series.in_flight.get()).unwrap_or(0))
    }

    /// Events that ended without a verdict so far.
    pub fn lost(&self) -> u64 {
        self.over_carriers(|series| series.count(Outcome::Lost))
    }

    fn over_carriers(&self, count: impl Fn(&CarrierSeries) -> u64) -> u64 {
        Carrier::ALL.into_iter().map(|carrier| count(self.0.metrics.carrier(carrier))).sum()
    }

    /// Closes the windows of rules that make one record of many events, until [`Sessions::close`]. Without it such events
    /// never settle.
    pub async fn aggregate(&self) {
        aggregates::run(&self.0).await;
    }

    /// What holds everybody's credit back this moment.
    pub fn reason_now(&self) -> Reason {
        self.0.reason_now()
    }

    /// Resolves once every session has ended and everything received has settled. No new ones begin after it.
    pub async fn ended(&self) {
        let sessions = self.0.sessions.acquire_many(self.0.limits.sessions).await;
        self.0.budget.settled().await;
        drop(sessions);
    }

    /// Ends every session, whatever it waits for.
    pub fn close(&self) {
        self.0.draining.cancel();
        self.0.closing.cancel();
    }
}

impl Gate for Sessions {
    fn serve<L: Link>(&self, link: L, peer: Peer) -> impl Future<Output = ()> + Send {
        connection::serve(Arc::clone(&self.0), link, peer)
    }

    fn post(&self, post: Post<'_>) -> impl Future<Output = Answer> + Send {
        post::post(&self.0, post)
    }

    fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }
}

/// The clock of sessions: the runtime's, so that tests can move it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Unix milliseconds by the wall clock; in tests it goes as [`now`] does.
#[cfg(not(test))]
#[expect(clippy::disallowed_methods, reason = "sessions own a clock, and this is it")]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
fn wall_ms() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let since = now().saturating_duration_since(*BEGAN.get_or_init(now));
    1_790_000_000_000 + u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
