//! `throttle`: more of a kind than may pass in a time.

use std::sync::Arc;

use tidegate_cel::{Compiler, Problem};

use super::key::Key;
use super::keyed::Keyed;
use super::otherwise;
use super::rate::{FullAt, Rate};
use crate::config::Throttle as Written;
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally};
use crate::pipeline::trace::Step;

/// See the module.
#[derive(Debug)]
pub(super) struct Throttle {
    key: Key,
    rate: Rate,
    /// Of the same rule before, too, where rules were replaced.
    levels: Arc<Keyed<FullAt>>,
    pub(super) tally: Tally,
    written: Written,
}

impl Throttle {
    pub(super) fn new(written: &Written, index: usize, compiler: &mut Compiler) -> Result<Self, Problem> {
        Ok(Self {
            key: Key::new(written.key.as_ref(), compiler)?,
            rate: Rate::new(written.events_per_second, written.burst()),
            levels: Arc::new(Keyed::new(written.keys_max())),
            tally: Tally::new(Operator::Throttle, written.name.as_deref(), index, written.shadow),
            written: written.clone(),
        })
    }

    /// Goes on where `before` is, if that is the same rule.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.tally.is_named_as(&before.tally) && self.written == before.written {
            self.tally.succeed(&before.tally);
            self.levels = Arc::clone(&before.levels);
        }
    }

    /// Whether an event goes on.
    pub(super) fn judge(&self, sight: &mut Sight<'_, '_>) -> Did {
        let now_ms = sight.now_ms;
        let takes = self.key.read_of_tenant(sight, |key| self.takes(key, now_ms));
        self.tally.judge(takes.map(|takes| !takes), self.written.on_error)
    }

    fn takes(&self, key: &[u8], now_ms: u64) -> bool {
        let mut place = self.levels.at(key);
        let level = place.get().copied();
        let (takes, after) = self.rate.take(level, now_ms);
        // Of a refused event too: the key was seen, and the clock may have been set back.
        place.put(after);
        takes
    }

    pub(super) fn step(&self) -> Step {
        let Written { key, events_per_second, on_error, .. } = &self.written;
        let each = key.as_ref().map_or_else(String::new, |key| format!(" for each {}", key.one_line()));
        let burst = self.written.burst();
        Step {
            operator: Operator::Throttle,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: self.key.cost(),
            does: format!(
                "lets {events_per_second} a second pass{each}, {burst} at once; {}",
                otherwise("key", *on_error)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnError;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn throttle(burst: u32, keys_max: u32) -> Throttle {
        let written = Written {
            name: None,
            key: Some(crate::config::Key(vec!["source".into()])),
            events_per_second: 0.1,
            burst: Some(burst),
            keys_max: Some(keys_max),
            on_error: OnError::Keep,
            shadow: false,
        };
        Throttle::new(&written, 0, &mut Compiler::default()).unwrap()
    }

    #[test]
    fn each_key_has_a_rate_of_its_own() {
        let throttle = throttle(2, 10);
        let takes = |key: &[u8], seconds: u64| throttle.takes(key, NOW_MS + seconds * 1_000);
        assert_eq!([takes(b"a", 0), takes(b"a", 0), takes(b"a", 0)], [true, true, false]);
        assert_eq!([takes(b"b", 0), takes(b"b", 1), takes(b"b", 2)], [true, true, false]);
        assert_eq!([takes(b"a", 9), takes(b"a", 10), takes(b"a", 11)], [false, true, false]);
    }

    #[test]
    fn of_more_keys_than_are_remembered_the_one_seen_longest_ago_begins_anew() {
        let throttle = throttle(1, 2);
        let takes = |key: &[u8]| throttle.takes(key, NOW_MS);
        assert_eq!([takes(b"a"), takes(b"b"), takes(b"a"), takes(b"b")], [true, true, false, false]);
        assert_eq!([takes(b"c"), takes(b"b"), takes(b"a")], [true, false, true]);
    }

    #[test]
    fn a_key_that_is_refused_was_seen() {
        let throttle = throttle(1, 2);
        let takes = |key: &[u8]| throttle.takes(key, NOW_MS);
        assert_eq!([takes(b"a"), takes(b"b"), takes(b"a")], [true, true, false]);
        assert_eq!([takes(b"c"), takes(b"a"), takes(b"b")], [true, false, true]);
    }

    #[test]
    fn after_the_clock_was_set_back_a_key_passes_at_its_rate() {
        let throttle = throttle(2, 10);
        let takes = |seconds: u64| throttle.takes(b"a", NOW_MS + seconds * 1_000);
        assert_eq!(
            [takes(3_600), takes(0), takes(9), takes(10), takes(11)],
            [true, false, false, true, false]
        );
    }

    #[test]
    fn what_a_key_costs_is_what_the_configuration_says() {
        assert_eq!(Keyed::<FullAt>::KEY_BYTES, 55);
    }
}
