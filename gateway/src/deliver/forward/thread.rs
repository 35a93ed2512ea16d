//! Has the forwarder work, in a thread of its own: reading a log blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Forwarder;
use crate::deliver::bell::Bell;

/// What the thread does beside forwarding.
pub(in crate::deliver) trait Duty: Send + 'static {
    /// Does what can be done now; whether that was anything.
    fn step(&mut self, forwarder: &mut Forwarder, now: Instant) -> bool;

    /// How long it need not be asked if the bell does not ring.
    fn patience(&self) -> Duration;
}

/// Forwarding alone.
pub(in crate::deliver) struct Alone;

impl Duty for Alone {
    fn step(&mut self, _forwarder: &mut Forwarder, _now: Instant) -> bool {
        false
    }

    fn patience(&self) -> Duration {
        super::IDLE
    }
}

const WORKING: u8 = 0;
/// Nothing more is handed over; what was settles.
const CLOSING: u8 = 1;
/// What has not settled is not waited for.
const ENDING: u8 = 2;

/// The thread. Dropping this ends it, soon.
#[derive(Debug)]
pub(in crate::deliver) struct Forwarding {
    state: Arc<AtomicU8>,
    bell: Arc<Bell>,
    ended: watch::Receiver<bool>,
}

impl Forwarding {
    pub(in crate::deliver) fn start(forwarder: Forwarder, duty: impl Duty) -> io::Result<Self> {
        let state = Arc::<AtomicU8>::default();
        let bell = Arc::clone(&forwarder.bell);
        let (tell, ended) = watch::channel(false);
        let shared = Arc::clone(&state);
        let run = move || {
            run(forwarder, duty, &shared);
            tell.send_replace(true);
        };
        thread::Builder::new().name("log-forward".to_owned()).spawn(run)?;
        Ok(Self { state, bell, ended })
    }

    /// Hands over nothing more.
    pub(in crate::deliver) fn close(&self) {
        self.enter(CLOSING);
    }

    /// Resolves once everything handed over has settled, or after `patience`; how far it is, is written down then.
    pub(in crate::deliver) async fn ended(&self, patience: Duration) {
        let mut ended = self.ended.clone();
        let settled = tokio::time::timeout(patience, ended.wait_for(|ended| *ended)).await.is_ok();
        if !settled {
            self.enter(ENDING);
            // Nothing is waited for any more but the disk. An error says that the thread has ended.
            let _ = tokio::time::timeout(super::IDLE, ended.wait_for(|ended| *ended)).await;
        }
    }

    fn enter(&self, state: u8) {
        self.state.fetch_max(state, Ordering::SeqCst);
        self.bell.ring();
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.enter(ENDING);
    }
}

fn run(mut forwarder: Forwarder, mut duty: impl Duty, state: &AtomicU8) {
    loop {
        let state = state.load(Ordering::SeqCst);
        if state >= CLOSING && (forwarder.close() || state == ENDING) {
            forwarder.step(now());
            return forwarder.persist(now());
        }
        let now = now();
        let mut moved = forwarder.step(now);
        if state == WORKING {
            moved |= duty.step(&mut forwarder, now);
        }
        if !moved {
            forwarder.bell.wait(forwarder.patience(now).min(duty.patience()));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the forwarder is told the time by its thread")]
fn now() -> Instant {
    Instant::now()
}
