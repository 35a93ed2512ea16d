//! The topics of a sink, and what is known of each in Kafka.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::verdict::Poison;
use crate::config::{self, Missing};
use crate::record::TopicId;

/// Topics beyond the configured ones, of records that were written when the configuration was another one.
const ADDED_MAX: usize = 1_000;
/// How long brokers must say that a topic does not exist before its events are refused: what is created, or loaded by a
/// broker that comes up, is not known everywhere at once.
const CONFIRMED: Duration = Duration::from_secs(3);
/// How long a topic that may not be written to is left alone before a record is tried again, which may cost a producer: at
/// first, and doubled up to the second.
const BARRED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long it is told after it was tried again: until then that is not known to have gone well.
const TOLD: Duration = Duration::from_secs(5);

/// The table that [`TopicId`]s are positions in. It only grows.
pub(super) struct Topics {
    list: ArcSwap<Vec<Arc<Topic>>>,
    configured: usize,
    /// For those that are added.
    defaults: config::Topics,
    adding: Mutex<()>,
    is_doubted: AtomicBool,
}

/// One topic.
pub(super) struct Topic {
    pub(super) config: config::Topic,
    /// Which of the producers its records go through.
    pub(super) lane: usize,
    /// Routes lead to it, or to a topic whose dead letters it takes.
    pub(super) is_configured: bool,
    state: AtomicU8,
    is_doubted: AtomicBool,
    is_barred: AtomicBool,
    /// Records of it came back and wait, and later ones behind them.
    is_held: AtomicBool,
    missing_since: Mutex<Option<Instant>>,
    bar: Mutex<Option<Bar>>,
}

/// Kafka takes no record of the topic, for a reason that an operator can mend.
#[derive(Clone, Copy)]
struct Bar {
    poison: Poison,
    until: Instant,
    pause: Duration,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    /// Nothing yet, or nothing certain.
    Unknown,
    /// It is there.
    There,
    /// It is not, for certain.
    Missing,
}

/// What becomes of a record of a topic that cannot be written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Absent {
    /// Unless it is owed: then it waits.
    Refused(Poison),
    Waits,
}

impl Topics {
    /// `lane` says which producer each topic's records go through; topics that are added later are as in `defaults`.
    pub(super) fn new(
        topics: Vec<config::Topic>,
        defaults: config::Topics,
        lane: impl Fn(&config::Topic) -> usize,
    ) -> Self {
        let list: Vec<_> = topics
            .into_iter()
            .map(|config| {
                let lane = lane(&config);
                Arc::new(Topic::new(config, lane, true))
            })
            .collect();
        let configured = list.len();
        Self {
            list: ArcSwap::from_pointee(list),
            configured,
            defaults,
            adding: Mutex::default(),
            is_doubted: AtomicBool::new(false),
        }
    }

    pub(super) fn all(&self) -> arc_swap::Guard<Arc<Vec<Arc<Topic>>>> {
        self.list.load()
    }

    /// The configured ones: whether these are there is the gateway's business.
    pub(super) fn configured(&self) -> Vec<Arc<Topic>> {
        self.list.load().iter().take(self.configured).cloned().collect()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.list.load().iter().find(|topic| topic.config.name == name).cloned()
    }

    /// Kafka has said of a topic's record that the topic does not exist.
    pub(super) fn doubt(&self, topic: &Topic) {
        topic.is_doubted.store(true, Ordering::Relaxed);
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    /// Kafka does not take a topic's records: for a while nothing more is tried.
    pub(super) fn bar(&self, topic: &Topic, poison: Poison, now: Instant) {
        topic.bar(poison, now);
        // librdkafka refuses further records by itself until it has asked for the topic again.
        self.doubt(topic);
    }

    /// Whether Kafka has said so of any that has not been found to be there since.
    pub(super) fn is_doubted(&self) -> bool {
        if !self.is_doubted.load(Ordering::Relaxed) {
            return false;
        }
        let is_doubted = self.list.load().iter().any(|topic| topic.is_doubted());
        self.is_doubted.store(is_doubted, Ordering::Relaxed);
        is_doubted
    }

    /// Why a topic may not be written to, if that is so of any, in a sentence. Those whose time has come are tried again.
    pub(super) fn barred(&self, now: Instant) -> Option<String> {
        let list = self.list.load();
        let mut barred = list.iter().filter_map(|topic| topic.barred(now));
        let first = barred.next()?;
        Some(match barred.count() {
            0 => first,
            more => format!("{first}; so it is with {more} more topics"),
        })
    }

    /// The position of a topic, which is added if it is new; none beyond the limit.
    pub(super) fn id(&self, name: &str) -> Option<TopicId> {
        let find = || self.list.load().iter().position(|topic| topic.config.name == name);
        let id = |position| u16::try_from(position).ok().map(TopicId);
        if let Some(position) = find() {
            return id(position);
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = find() {
            return id(position);
        }
        let mut list = Vec::clone(&self.list.load());
        if list.len() >= self.configured + ADDED_MAX {
            return None;
        }
        list.push(Arc::new(Topic::new(config::Topic::new(name, &self.defaults), 0, false)));
        let position = list.len() - 1;
        self.list.store(Arc::new(list));
        id(position)
    }
}

impl Topic {
    fn new(config: config::Topic, lane: usize, is_configured: bool) -> Self {
        Self {
            config,
            lane,
            is_configured,
            state: AtomicU8::new(0),
            is_doubted: AtomicBool::new(false),
            is_barred: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            missing_since: Mutex::default(),
            bar: Mutex::default(),
        }
    }

    pub(super) fn presence(&self) -> Presence {
        match self.state.load(Ordering::Relaxed) {
            0 => Presence::Unknown,
            1 => Presence::There,
            _ => Presence::Missing,
        }
    }

    /// What becomes of its next record, if not the usual.
    pub(super) fn absent(&self) -> Option<Absent> {
        let held = || self.is_held.load(Ordering::Relaxed).then_some(Absent::Waits);
        self.absent_itself().or_else(held)
    }

    /// The same of those that came back: nothing is before them.
    pub(super) fn absent_itself(&self) -> Option<Absent> {
        if self.is_barred.load(Ordering::Relaxed) {
            return self.lock_bar().map(|bar| Absent::Refused(bar.poison));
        }
        match (self.presence(), self.config.missing) {
            (Presence::Missing, Missing::Fail) => Some(Absent::Refused(Poison::UNKNOWN_TOPIC)),
            (Presence::Missing, Missing::Create | Missing::Wait) => Some(Absent::Waits),
            _ => None,
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted.load(Ordering::Relaxed)
    }

    /// Whether records of it wait that came back. Told by whoever holds them, under its lock.
    pub(super) fn hold(&self, held: bool) {
        self.is_held.store(held, Ordering::Relaxed);
    }

    fn bar(&self, poison: Poison, now: Instant) {
        let mut bar = self.lock_bar();
        let pause = match *bar {
            Some(bar) if now < bar.until => return,
            Some(bar) if now < bar.until + 2 * BARRED.1 => (bar.pause * 2).min(BARRED.1),
            _ => BARRED.0,
        };
        *bar = Some(Bar { poison, until: now + pause, pause });
        self.is_barred.store(true, Ordering::Relaxed);
    }

    fn barred(&self, now: Instant) -> Option<String> {
        let bar = *self.lock_bar();
        let Bar { poison, until, .. } = bar?;
        if now >= until {
            self.is_barred.store(false, Ordering::Relaxed);
        }
        (now < until + TOLD).then(|| format!("topic `{}`: {}", self.config.name, poison.why))
    }

    fn lock_bar(&self) -> MutexGuard<'_, Option<Bar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A broker has said that it is there.
    pub(super) fn is_there(&self) {
        self.is_doubted.store(false, Ordering::Relaxed);
        *self.missing_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.state.store(1, Ordering::Relaxed);
    }

    /// A broker has said that it is not there.
    pub(super) fn is_missing(&self, now: Instant) {
        let mut since = self.missing_since.lock().unwrap_or_else(PoisonError::into_inner);
        let since = since.get_or_insert(now);
        let certain = now.saturating_duration_since(*since) >= CONFIRMED;
        self.state.store(if certain { 2 } else { 0 }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(missing: Missing) -> Topic {
        Topic::new(config::Topic { missing, ..config::Topic::new("t", &config::Topics::default()) }, 0, true)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn what_a_broker_says_once_refuses_nothing() {
        for (missing, expected) in [
            (Missing::Fail, Absent::Refused(Poison::UNKNOWN_TOPIC)),
            (Missing::Wait, Absent::Waits),
            (Missing::Create, Absent::Waits),
        ] {
            let (topic, start) = (topic(missing), Instant::now());
            topic.is_missing(start);
            assert_eq!(topic.absent(), None);
            topic.is_missing(start + CONFIRMED);
            assert_eq!(topic.absent(), Some(expected));
            topic.is_there();
            assert_eq!(topic.absent(), None);
            topic.is_missing(start + 2 * CONFIRMED);
            assert_eq!(topic.absent(), None, "the doubt begins anew");
        }
    }

    #[test]
    fn names_beyond_the_configured_ones_are_added_up_to_a_limit() {
        let topics = Topics::new(
            vec![config::Topic::new("a", &config::Topics::default())],
            config::Topics::default(),
            |_| 0,
        );
        assert_eq!(topics.id("a"), Some(TopicId(0)));
        assert_eq!(topics.id("b"), Some(TopicId(1)));
        assert_eq!(topics.id("b"), Some(TopicId(1)));
        let added = (0..2 * ADDED_MAX).filter(|n| topics.id(&format!("x{n}")).is_some()).count();
        assert_eq!(added, ADDED_MAX - 1);
        assert_eq!(topics.configured().len(), 1);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn a_topic_that_may_not_be_written_is_tried_more_and_more_rarely() {
        let (topic, start) = (topic(Missing::Fail), Instant::now());
        let (second, refused) = (Duration::from_secs(1), Some(Absent::Refused(Poison::FORBIDDEN_TOPIC)));
        let mut now = start;
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            topic.bar(Poison::FORBIDDEN_TOPIC, now);
            topic.bar(Poison::FORBIDDEN_TOPIC, now + second / 2);
            assert!(topic.barred(now + pause * second * 9 / 10).is_some());
            assert_eq!(topic.absent(), refused, "{pause} s");
            now += pause * second;
            assert!(topic.barred(now).is_some(), "not known to be mended");
            assert_eq!(topic.absent(), None, "tried again after {pause} s");
        }
        assert_eq!(topic.barred(now + TOLD), None);
        topic.bar(Poison::FORBIDDEN_TOPIC, now + 2 * BARRED.1);
        topic.barred(now + 2 * BARRED.1 + second);
        assert_eq!(topic.absent(), None, "a new trouble begins anew");
    }

    #[test]
    fn what_came_back_is_waited_behind() {
        let topic = topic(Missing::Fail);
        topic.is_there();
        topic.hold(true);
        assert_eq!((topic.absent(), topic.absent_itself()), (Some(Absent::Waits), None));
        topic.hold(false);
        assert_eq!(topic.absent(), None);
    }
}
