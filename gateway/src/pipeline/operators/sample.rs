//! `sample`: one event in so many, the same ones wherever it is asked.

use tidegate_cel::{Compiler, Problem};
use tidegate_wire::{Attribute, Event};

use super::key::Key;
use super::otherwise;
use crate::config::Sample as Written;
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::Step;

/// The largest integer that `CloudEvents` has.
const SAMPLEDRATE_MAX: u64 = 2_147_483_647;

/// See the module.
#[derive(Debug)]
pub(super) struct Sample {
    key: Key,
    pub(super) tally: Tally,
    written: Written,
}

impl Sample {
    pub(super) fn new(written: &Written, compiler: &mut Compiler) -> Result<Self, Problem> {
        Ok(Self {
            key: Key::new(Some(&written.key), compiler)?,
            tally: Tally::new(Operator::Sample, None, 0, written.shadow),
            written: written.clone(),
        })
    }

    /// Goes on counting where `before` is, if that is the same rule.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.written == before.written {
            self.tally.succeed(&before.tally);
        }
    }

    /// Whether an event goes on, and the `sampledrate` that it then has.
    pub(super) fn judge(&self, sight: &mut Sight<'_, '_>) -> (Did, Option<u64>) {
        let Written { rate, on_error, shadow, .. } = self.written;
        let before = sampledrate(sight.event);
        match self.key.read(sight, |key| is_chosen(key, before, rate)) {
            Ok(true) if rate > 1 && !shadow => {
                let did = self.tally.end(Did { verdict: Verdict::Changed, fault: None });
                let after = before.unwrap_or(1).saturating_mul(rate.into()).min(SAMPLEDRATE_MAX);
                (did, Some(after))
            }
            chosen => (self.tally.judge(chosen.map(|is_chosen| !is_chosen), on_error), None),
        }
    }

    pub(super) fn step(&self) -> Step {
        let Written { rate, key, on_error, .. } = &self.written;
        Step {
            operator: Operator::Sample,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: self.key.cost(),
            does: format!("keeps one in {rate} by {}; {}", key.one_line(), otherwise("key", *on_error)),
        }
    }
}

/// What the event says of earlier sampling, if that is a positive integer.
fn sampledrate(event: &Event<'_>) -> Option<u64> {
    let said = event.get(Attribute::Sampledrate)?.text().parse().ok()?;
    (1..=SAMPLEDRATE_MAX).contains(&said).then_some(said)
}

/// Whether a key is in the share: its hash lies in the first `rate`th of all hashes, so that a smaller share is part of a
/// larger one. What was sampled before is hashed with its rate, or whoever sampled it by the same key would have chosen all
/// that are chosen here.
fn is_chosen(key: &[u8], sampled_before: Option<u64>, rate: u32) -> bool {
    let hash = match sampled_before {
        None | Some(1) => hash(&[key]),
        Some(before) => hash(&[before.to_string().as_bytes(), &[0], key]),
    };
    u128::from(hash) * u128::from(rate) < 1 << 64
}

/// FNV-1a of 64 bits and the finaliser of `MurmurHash3`, which spreads what FNV leaves in the low bits. It must never
/// change: gateways of all versions choose the same events.
fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_is_written_down() {
        // docs/rules.md has the same.
        for (key, expected) in [
            ("", "efd01f60ba992926"),
            ("a", "82a2a958a9bece5b"),
            ("web-1-1790000000000-1", "6b25042e130e8690"),
            ("gr\u{fc}n", "33f2bc3a64cffcb0"),
        ] {
            assert_eq!(format!("{:016x}", hash(&[key.as_bytes()])), expected, "{key:?}");
        }
    }

    #[test]
    fn a_share_is_as_large_as_it_says_and_part_of_the_larger() {
        let keys: Vec<_> = (0..100_000).map(|n| format!("web-1-{n}")).collect();
        for rate in [1, 2, 10, 100] {
            let chosen = keys.iter().filter(|key| is_chosen(key.as_bytes(), None, rate)).count();
            let expected = keys.len() / rate as usize;
            assert!(chosen.abs_diff(expected) < 5 * expected.isqrt(), "one in {rate}: {chosen}");
        }
        let in_both =
            |key: &&String| !is_chosen(key.as_bytes(), None, 7) && is_chosen(key.as_bytes(), None, 10);
        assert_eq!(keys.iter().filter(in_both).count(), 0);
    }

    #[test]
    fn what_was_sampled_before_by_the_same_key_is_sampled_again() {
        let keys: Vec<_> = (0..100_000).map(|n| format!("web-1-{n}")).collect();
        let once: Vec<_> = keys.iter().filter(|key| is_chosen(key.as_bytes(), None, 10)).collect();
        let twice = once.iter().filter(|key| is_chosen(key.as_bytes(), Some(10), 10)).count();
        assert!(twice.abs_diff(1_000) < 150, "{twice} of 100,000");
    }
}
