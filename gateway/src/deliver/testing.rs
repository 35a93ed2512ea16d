//! What the tests of the modes share: a Kafka that does what it is told, and a log.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tidegate_wire::{Level, Reason};

use super::log::Log;
use super::{Health, Pending, Sink};
use crate::config;
use crate::metrics::LogSeries;
use crate::outcome::Outcome;
use crate::record::{Encoding, Records, TopicId};
use crate::ticket::Ticket;
use crate::ticket::testing::ticket;

/// For what must happen, however busy the machine is.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// One partition of a Kafka that delivers in order, and when it is told to.
#[derive(Default)]
pub(super) struct Kafka(Mutex<State>);

#[derive(Default)]
struct State {
    is_away: bool,
    /// Whether the topic `elsewhere` is known to Kafka's side, and whether Kafka has it.
    elsewhere: Option<bool>,
    room: Option<usize>,
    queue: VecDeque<(String, u32, Ticket)>,
    delivered: Vec<String>,
}

impl Kafka {
    pub(super) fn up(is_up: bool) -> Arc<Self> {
        let kafka = Arc::new(Self::default());
        kafka.set_up(is_up);
        kafka
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.lock().is_away = !is_up;
    }

    /// Takes at most so many records at once.
    pub(super) fn set_room(&self, records: usize) {
        self.lock().room = Some(records);
    }

    /// Delivers the next records, at most `count`, unless it is away; how many.
    pub(super) fn deliver(&self, count: usize) -> usize {
        self.end(count, |state, (value, _, ticket)| {
            state.delivered.push(value);
            ticket.committed(1);
        })
    }

    /// Refuses the next record for good.
    pub(super) fn refuse(&self, outcome: Outcome) -> usize {
        self.end(1, |_, (_, index, ticket)| {
            ticket.refused(index, outcome, "no".into());
        })
    }

    /// Whether whoever gave it the next record says that it was acknowledged already.
    pub(super) fn is_owed(&self) -> bool {
        self.lock().queue.front().is_some_and(|(_, _, ticket)| ticket.is_owed())
    }

    /// Makes the topic `elsewhere`, or takes it away.
    pub(super) fn set_elsewhere(&self, is_there: bool) {
        self.lock().elsewhere = Some(is_there);
    }

    /// Gives up everything it has without a verdict.
    pub(super) fn lose(&self) {
        let queue = std::mem::take(&mut self.lock().queue);
        queue.into_iter().for_each(|(_, _, ticket)| ticket.lost(1));
    }

    /// Delivers the next record, and gives up all without a verdict: it was on its way.
    pub(super) fn deliver_untold(&self) {
        let mut state = self.lock();
        let value = state.queue.front().map(|(value, _, _)| value.clone());
        state.delivered.extend(value);
        drop(state);
        self.lose();
    }

    /// The values it has, in order.
    pub(super) fn delivered(&self) -> Vec<String> {
        self.lock().delivered.clone()
    }

    /// How many it has taken and not delivered.
    pub(super) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    fn end(&self, count: usize, end: impl Fn(&mut State, (String, u32, Ticket))) -> usize {
        let mut state = self.lock();
        let mut ended = 0;
        while !state.is_away && ended < count {
            let Some(next) = state.queue.pop_front() else { break };
            // Only then may whoever is told ask this for something.
            let mut aside = std::mem::take(&mut *state);
            drop(state);
            end(&mut aside, next);
            state = self.lock();
            let new = std::mem::take(&mut state.queue);
            aside.queue.extend(new);
            *state = aside;
            ended += 1;
        }
        ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Sink for Kafka {
    fn level(&self) -> Level {
        Level::Committed
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let is_owed = ticket.is_owed();
        let mut state = self.lock();
        let room = state.room.map_or(usize::MAX, |room| room.saturating_sub(state.queue.len()));
        let before = state.queue.len();
        let mut refused = Vec::new();
        for record in records.iter_from(from).take(room) {
            if record.topic.0 == 1 && state.elsewhere == Some(false) {
                if is_owed {
                    break;
                }
                refused.push(record.index);
                continue;
            }
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
            state.queue.push_back((value, record.index, ticket.clone()));
        }
        let taken = state.queue.len() - before + refused.len();
        drop(state);
        for index in refused {
            ticket.refused(index, Outcome::BrokerRejected, "its topic is not there".into());
        }
        taken
    }

    fn topic(&self, name: &str) -> Option<TopicId> {
        match name {
            "events" => Some(TopicId(0)),
            _ => self.lock().elsewhere.map(|_| TopicId(1)),
        }
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn health(&self) -> Health {
        let state = self.lock();
        match (state.is_away, state.elsewhere) {
            (true, _) => Health::Away { reason: Reason::Broker, detail: "Kafka is away".into() },
            (false, Some(false)) => Health::Impaired { detail: "no topic `elsewhere`".into() },
            (false, _) => Health::Ready,
        }
    }

    fn drain(&self, _deadline: Duration) -> Pending<'_, ()> {
        self.deliver(usize::MAX);
        self.lose();
        Box::pin(std::future::ready(()))
    }
}

/// A log of at most 16 MiB in small segments, with topics `events` and `elsewhere`.
pub(super) fn open_log(directory: &Path) -> Log {
    let config = config::Log {
        directory: directory.to_owned(),
        max_bytes: config::ByteSize(16 << 20),
        segment_bytes: config::ByteSize(4 << 10),
        max_age: None,
    };
    let topics = ["events".to_owned(), "elsewhere".to_owned()].into();
    Log::open(&config, LogSeries::default(), topics).unwrap()
}

/// Structured records of that topic.
pub(super) fn of_topic<V: AsRef<[u8]>>(topic: u16, values: &[V]) -> Records {
    let mut records = Records::default();
    for (index, value) in (0..).zip(values) {
        let mut draft = records.draft(index, TopicId(topic), Encoding::Structured, 7);
        draft.value(|out| out.extend_from_slice(value.as_ref()));
        draft.push();
    }
    records
}

/// Stores records in the log, durably.
pub(super) fn store(log: &Log, records: &Records) {
    let (ticket, told) = ticket(u32::try_from(records.len()).unwrap());
    assert_eq!(log.submit(records, 0, &ticket), records.len());
    assert_eq!(told.recv_timeout(LONG).unwrap().stored as usize, records.len());
}

#[track_caller]
pub(super) fn until(mut holds: impl FnMut() -> bool) {
    let deadline = now() + LONG;
    while !holds() {
        assert!(now() < deadline, "it never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has a clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Ends the log in order.
pub(super) fn end(log: &Log) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(log.drain(LONG));
}
