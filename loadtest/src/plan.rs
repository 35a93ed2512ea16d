//! What all clients of a run share.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::payload::Payload;
use crate::schedule::Schedule;
use crate::tally::Live;
use crate::target::Carrier;

/// What every client does.
pub(crate) struct Plan {
    /// Names the run in events and in clients' names.
    pub(crate) run: String,
    pub(crate) carrier: Carrier,
    pub(crate) clients: u32,
    /// Events of one frame, or of one request.
    pub(crate) batch: u32,
    /// Between two frames of one client; `None`: as fast as credit allows.
    pub(crate) interval: Option<Duration>,
    /// Frames of each client, at most.
    pub(crate) frames: Option<u64>,
    pub(crate) payload: Payload,
    /// Sends only what credit allows.
    pub(crate) obedient: bool,
    /// Lossy events, or `Prefer: respond-async`: nothing is acknowledged.
    pub(crate) unacknowledged: bool,
    /// HTTPS with session headers.
    pub(crate) numbered: bool,
    /// How long a client tries to come back after a break.
    pub(crate) reconnect_for: Duration,
}

/// When what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timetable {
    pub(crate) start: Instant,
    /// Events that are due before are not measured.
    pub(crate) measure_from: Instant,
    /// No event is due from here on.
    pub(crate) end: Instant,
    /// What is not settled by then is missing.
    pub(crate) give_up: Instant,
}

/// The plan, and how far it is.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) live: Live,
    /// Set once all clients are connected, and again when the run is cut short.
    pub(crate) timetable: watch::Sender<Option<Timetable>>,
    /// Why it was cut short.
    pub(crate) broken_off: std::sync::OnceLock<String>,
}

impl Plan {
    /// The name under which a client says HELLO.
    pub(crate) fn client_name(&self, client: u32) -> String {
        format!("loadtest-{}-{client:05}", self.run)
    }

    /// The frames of one client.
    pub(crate) fn schedule(&self, client: u32, start: Instant) -> Schedule {
        let phase = f64::from(client) / f64::from(self.clients.max(1));
        Schedule::new(start, self.interval, phase, self.frames)
    }
}

impl Shared {
    pub(crate) fn new(plan: Plan) -> Self {
        let timetable = watch::Sender::new(None);
        Self { plan, live: Live::default(), timetable, broken_off: std::sync::OnceLock::new() }
    }

    /// Cuts the run short: nothing more is due, and what is on the way has a last moment to settle.
    pub(crate) fn break_off(&self, why: String, now: Instant) {
        const LAST_MOMENT: Duration = Duration::from_secs(2);
        if self.broken_off.set(why).is_err() {
            return;
        }
        self.timetable.send_modify(|timetable| {
            let before =
                timetable.unwrap_or(Timetable { start: now, measure_from: now, end: now, give_up: now });
            let (end, give_up) = (before.end.min(now), before.give_up.min(now + LAST_MOMENT));
            *timetable = Some(Timetable { end, give_up, ..before });
        });
    }
}
