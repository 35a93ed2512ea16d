//! Sessions: from HELLO to CLOSE on any carrier, and the same for one HTTP request.
//!
//! A connection is one task that reads and writes at once; its numbering outlives it. Time is asked for here
//! and in `deliver`, nowhere else.

mod connection;
mod core;
mod hello;
mod hold;
mod idle;
mod inflight;
mod ingest;
mod numbering;
mod orders;
mod post;
mod reader;
mod registry;
mod window;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_wire::Reason;

use self::core::Core;
pub use self::core::Parts;
use crate::listen::link::{Answer, Gate, Link, Peer, Post};

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

/// Unix milliseconds by the wall clock.
#[expect(clippy::disallowed_methods, reason = "sessions own a clock, and this is it")]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
