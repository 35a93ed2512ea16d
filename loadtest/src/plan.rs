//! What all clients of a run share.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::outage::{Outage, Phase};
use crate::payload::Payload;
use crate::report::float;
use crate::schedule::Schedule;
use crate::tally::Live;
use crate::target::Carrier;

/// What every client does.
pub(crate) struct Plan {
    /// Names the run in events.
    pub(crate) run: String,
    /// What the names of its clients begin with.
    pub(crate) client_prefix: String,
    /// Of all its clients' numbers: above that of any run before, since clients of the same names may have run in it.
    pub(crate) epoch: u64,
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
    /// A process that is away for a while.
    pub(crate) outage: Option<Outage>,
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
        format!("{}-{client}", self.client_prefix)
    }

    /// With a number of events to send a client is through when they are; else it stays, also with none to send.
    pub(crate) fn stays_to_the_end(&self) -> bool {
        self.frames.is_none_or(|frames| frames == 0)
    }

    /// Events in all, where their number is given.
    pub(crate) fn total(&self) -> Option<u64> {
        let frames = self.frames.filter(|frames| *frames > 0)?;
        Some(frames * u64::from(self.batch) * u64::from(self.clients))
    }

    /// Events a second over all clients, where there is a rate.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.interval.map(|interval| f64::from(self.batch) * f64::from(self.clients) / interval.as_secs_f64())
    }

    /// The due times that were not met, each with its number of events.
    pub(crate) fn unmet(
        &self,
        schedule: Schedule,
        times: Option<Timetable>,
    ) -> impl Iterator<Item = (Instant, u64)> {
        let count = u64::from(self.batch);
        times.into_iter().flat_map(move |times| schedule.unmet(times.end)).map(move |due| (due, count))
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

    /// How far the run is, from 0 to 1.
    pub(crate) fn progress(&self, now: Instant) -> f64 {
        let Some(times) = *self.timetable.borrow() else { return 0.0 };
        match self.plan.total() {
            Some(total) if self.plan.unacknowledged => float(Live::get(&self.live.sent)) / float(total),
            Some(total) => {
                float(Live::get(&self.live.acknowledged) + Live::get(&self.live.refused)) / float(total)
            }
            None => {
                let part = |until: Instant| until.saturating_duration_since(times.start).as_secs_f64();
                (part(now) / part(times.end).max(f64::MIN_POSITIVE)).min(1.0)
            }
        }
    }

    /// Whether an event that was due then is measured.
    pub(crate) fn is_measured(&self, due: Instant) -> bool {
        self.timetable.borrow().is_some_and(|times| (times.measure_from..times.end).contains(&due))
    }

    /// Which part of a run with an outage an event belongs to that was due then.
    pub(crate) fn phase(&self, due: Instant) -> Option<Phase> {
        let (outage, times) = (self.plan.outage?, (*self.timetable.borrow())?);
        Some(outage.phase(due, times.measure_from))
    }

    /// Returns when the time to settle is over, also if that comes to be sooner meanwhile.
    pub(crate) async fn given_up(&self) {
        let mut timetable = self.timetable.subscribe();
        loop {
            let give_up = timetable.borrow_and_update().map(|times| times.give_up);
            let over = async {
                match give_up {
                    Some(give_up) => tokio::time::sleep_until(give_up.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = over => return, _ = timetable.changed() => {} }
        }
    }
}
