//! The topics of a sink, and what is known of each in Kafka.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{self, Missing};
use crate::record::TopicId;

/// Topics beyond the configured ones, of records that were written when the configuration was another one.
const ADDED_MAX: usize = 1_000;
/// How long brokers must say that a topic does not exist before its events are refused: what is created, or loaded by a
/// broker that comes up, is not known everywhere at once.
const CONFIRMED: Duration = Duration::from_secs(3);

/// The table that [`TopicId`]s are positions in. It only grows.
pub(super) struct Topics {
    list: ArcSwap<Vec<Arc<Topic>>>,
    configured: usize,
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
    missing_since: Mutex<Option<Instant>>,
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

/// What becomes of a record of a topic that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Absent {
    Refused,
    Waits,
}

impl Topics {
    /// `lane` says which producer each topic's records go through.
    pub(super) fn new(topics: Vec<config::Topic>, lane: impl Fn(&config::Topic) -> usize) -> Self {
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

    /// Whether Kafka has said so of any that has not been found to be there since.
    pub(super) fn is_doubted(&self) -> bool {
        if !self.is_doubted.load(Ordering::Relaxed) {
            return false;
        }
        let is_doubted = self.list.load().iter().any(|topic| topic.is_doubted());
        self.is_doubted.store(is_doubted, Ordering::Relaxed);
        is_doubted
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
        list.push(Arc::new(Topic::new(config::Topic::new(name, &config::Topics::default()), 0, false)));
        let position = list.len() - 1;
        self.list.store(Arc::new(list));
        id(position)
    }
}

impl Topic {
    fn new(config: config::Topic, lane: usize, is_configured: bool) -> Self {
        let (state, is_doubted) = (AtomicU8::new(0), AtomicBool::new(false));
        Self { config, lane, is_configured, state, is_doubted, missing_since: Mutex::default() }
    }

    pub(super) fn presence(&self) -> Presence {
        match self.state.load(Ordering::Relaxed) {
            0 => Presence::Unknown,
            1 => Presence::There,
            _ => Presence::Missing,
        }
    }

    /// What becomes of its records now, if not the usual.
    pub(super) fn absent(&self) -> Option<Absent> {
        match (self.presence(), self.config.missing) {
            (Presence::Missing, Missing::Fail) => Some(Absent::Refused),
            (Presence::Missing, Missing::Create | Missing::Wait) => Some(Absent::Waits),
            _ => None,
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted.load(Ordering::Relaxed)
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
            (Missing::Fail, Absent::Refused),
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
        let topics = Topics::new(vec![config::Topic::new("a", &config::Topics::default())], |_| 0);
        assert_eq!(topics.id("a"), Some(TopicId(0)));
        assert_eq!(topics.id("b"), Some(TopicId(1)));
        assert_eq!(topics.id("b"), Some(TopicId(1)));
        let added = (0..2 * ADDED_MAX).filter(|n| topics.id(&format!("x{n}")).is_some()).count();
        assert_eq!(added, ADDED_MAX - 1);
        assert_eq!(topics.configured().len(), 1);
    }
}
