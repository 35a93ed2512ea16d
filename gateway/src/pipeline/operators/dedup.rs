//! `dedup`: what has been before.

use std::sync::Arc;

use tidegate_cel::{Compiler, Problem};

use super::fate::Fate;
use super::key::Key;
use super::keyed::Keyed;
use super::mark::{Mark, OfEvent};
use super::otherwise;
use crate::config::Dedup as Written;
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally};
use crate::pipeline::trace::Step;

/// See the module.
#[derive(Debug)]
pub(super) struct Dedup {
    key: Key,
    window_ms: u64,
    /// Of the same rule before, too, where rules were replaced.
    seen: Arc<Keyed<First>>,
    pub(super) tally: Tally,
    written: Written,
}

/// The first event with its key.
#[derive(Debug)]
pub(in crate::pipeline) struct First {
    at_ms: u64,
    fate: Arc<Fate>,
}

impl OfEvent for First {
    fn fate(&self) -> &Arc<Fate> {
        &self.fate
    }
}

impl Dedup {
    pub(super) fn new(written: &Written, compiler: &mut Compiler) -> Result<Self, Problem> {
        Ok(Self {
            key: Key::new(Some(&written.key), compiler)?,
            window_ms: u64::try_from(written.window.0.as_millis()).unwrap_or(u64::MAX),
            seen: Arc::new(Keyed::new(written.keys_max)),
            tally: Tally::new(Operator::Dedup, None, 0, written.shadow),
            written: written.clone(),
        })
    }

    /// Goes on where `before` is, if that is the same rule.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.written == before.written {
            self.tally.succeed(&before.tally);
            self.seen = Arc::clone(&before.seen);
        }
    }

    /// Whether an event of a frame that meets `fate` goes on, and what it leaves if it is a first one.
    pub(super) fn judge<'a>(
        &'a self,
        sight: &mut Sight<'_, '_>,
        fate: &'a Arc<Fate>,
    ) -> (Did, Option<Mark<'a, First>>) {
        let now_ms = sight.now_ms;
        let (repeats, mark) = match self.key.read_of_tenant(sight, |key| self.first(key, now_ms, fate)) {
            Ok(mark) => (Ok(mark.is_none()), mark),
            Err(fault) => (Err(fault), None),
        };
        (self.tally.judge(repeats, self.written.on_error), mark)
    }

    /// `None` if it has been before.
    fn first<'a>(&'a self, key: &[u8], now_ms: u64, fate: &'a Arc<Fate>) -> Option<Mark<'a, First>> {
        let mut place = self.seen.at(key);
        if let Some(first) = place.get() {
            // Of a clock that was set back the window begins anew.
            first.at_ms = first.at_ms.min(now_ms);
            if now_ms - first.at_ms < self.window_ms && first.fate.carries(fate) {
                return None;
            }
        }
        let key = place.key();
        place.put(First { at_ms: now_ms, fate: Arc::clone(fate) });
        Some(Mark::new(&self.seen, key, fate))
    }

    pub(super) fn step(&self) -> Step {
        let Written { key, window, on_error, .. } = &self.written;
        Step {
            operator: Operator::Dedup,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: self.key.cost(),
            does: format!(
                "drops what repeats {} within {window}; {}",
                key.one_line(),
                otherwise("key", *on_error)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fate::{FATE_BYTES, Origin};
    use super::*;
    use crate::config::{Age, OnError};

    const NOW_MS: u64 = 1_790_000_000_000;

    fn dedup(keys_max: u32) -> Dedup {
        let written = Written {
            key: crate::config::Key(vec!["id".into()]),
            window: Age(Duration::from_secs(10)),
            keys_max,
            on_error: OnError::Keep,
            shadow: false,
        };
        Dedup::new(&written, &mut Compiler::default()).unwrap()
    }

    fn of(origin: u64) -> Arc<Fate> {
        Fate::new(Some(Origin(origin)))
    }

    fn durable() -> Arc<Fate> {
        let fate = of(0);
        fate.settle(true);
        fate
    }

    /// Whether an event passes.
    fn passes(dedup: &Dedup, key: &str, after_ms: i64, fate: &Arc<Fate>) -> bool {
        let mark = dedup.first(key.as_bytes(), NOW_MS.saturating_add_signed(after_ms), fate);
        let is_first = mark.is_some();
        mark.into_iter().for_each(Mark::stay);
        is_first
    }

    #[test]
    fn the_first_passes_and_others_do_until_the_window_is_over() {
        let (dedup, fate) = (dedup(100), durable());
        for (key, after_ms, expected) in [
            ("a", 0, true),
            ("a", 1, false),
            ("b", 1, true),
            // It began with the first, whatever came since.
            ("a", 9_999, false),
            ("a", 10_000, true),
            ("a", 10_001, false),
        ] {
            assert_eq!(passes(&dedup, key, after_ms, &fate), expected, "{key} after {after_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_begins_the_window_anew() {
        let (dedup, fate) = (dedup(100), durable());
        let took = [0, -3_600_000, -3_590_001, -3_590_000].map(|ms| passes(&dedup, "a", ms, &fate));
        assert_eq!(took, [true, false, false, true]);
    }

    #[test]
    fn what_was_lost_makes_nothing_a_duplicate() {
        let dedup = dedup(100);
        let lost = of(1);
        assert!(passes(&dedup, "a", 0, &lost));
        // Of the same numbering: it is acknowledged after the first, or not at all.
        assert!(!passes(&dedup, "a", 1, &of(1)));
        lost.settle(false);
        let again = of(1);
        assert!(passes(&dedup, "a", 2, &again), "the client sends it again");
        again.settle(true);
        assert!(!passes(&dedup, "a", 3, &of(2)));
    }

    #[test]
    fn others_do_not_rely_on_what_is_under_way() {
        let dedup = dedup(100);
        let first = of(1);
        assert!(passes(&dedup, "a", 0, &first));
        let other = of(2);
        assert!(passes(&dedup, "a", 1, &other), "the first may yet be lost");
        first.settle(false);
        other.settle(true);
        assert!(!passes(&dedup, "a", 2, &of(1)));
    }

    #[test]
    fn what_another_rule_refuses_leaves_nothing() {
        let (dedup, fate) = (dedup(100), of(1));
        drop(dedup.first(b"a", NOW_MS, &fate));
        assert!(passes(&dedup, "a", 1, &fate));
        assert!(!passes(&dedup, "a", 2, &fate));
        // What somebody else left meanwhile stays.
        let mark = dedup.first(b"b", NOW_MS, &fate).unwrap();
        assert!(passes(&dedup, "b", 1, &durable()));
        drop(mark);
        assert!(!passes(&dedup, "b", 2, &of(3)));
    }

    #[test]
    fn beyond_the_cap_the_oldest_passes_again() {
        let (dedup, fate) = (dedup(2), durable());
        assert!(["a", "b", "c"].iter().all(|key| passes(&dedup, key, 0, &fate)));
        assert_eq!(["c", "b", "a"].map(|key| passes(&dedup, key, 1, &fate)), [false, false, true]);
    }

    #[test]
    fn of_all_that_come_at_once_one_is_the_first() {
        let (dedup, fate) = (dedup(10_000), durable());
        let (dedup, fate) = (&dedup, &fate);
        let firsts: usize = std::thread::scope(|scope| {
            let count = move || (0..1_000).filter(|key| passes(dedup, &key.to_string(), 0, fate)).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 1_000);
    }

    #[test]
    fn what_a_key_costs_is_what_the_configuration_says() {
        assert_eq!(Keyed::<First>::KEY_BYTES, 112 - FATE_BYTES - 1);
    }
}
