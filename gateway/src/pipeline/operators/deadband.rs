//! `deadband`: values that have hardly changed.

use std::sync::Arc;

use tidegate_cel::{Compiler, Fault, Problem, Program, Value};
use tidegate_wire::{Code, Reject};

use super::fate::Fate;
use super::key::Key;
use super::keyed::Keyed;
use super::mark::{Mark, OfEvent};
use super::otherwise;
use crate::config::Deadband as Written;
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally};
use crate::pipeline::trace::{Cost, Step};

/// See the module.
#[derive(Debug)]
pub(in crate::pipeline) struct Deadband {
    key: Key,
    value: Program,
    silence_max_ms: Option<u64>,
    /// Of the same rule before, too, where rules were replaced.
    passed: Arc<Keyed<Last>>,
    pub(in crate::pipeline) tally: Tally,
    written: Written,
}

/// The last event with its key that passed.
#[derive(Debug)]
pub(in crate::pipeline) struct Last {
    value: f64,
    at_ms: u64,
    fate: Arc<Fate>,
}

impl OfEvent for Last {
    fn fate(&self) -> &Arc<Fate> {
        &self.fate
    }
}

impl Deadband {
    pub(in crate::pipeline) fn new(written: &Written, compiler: &mut Compiler) -> Result<Self, Problem> {
        let silence_max = written.silence_max.map(|age| age.0.as_millis());
        Ok(Self {
            key: Key::new(written.key.as_ref(), compiler)?,
            value: compiler.number(written.value.text())?,
            silence_max_ms: silence_max.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            passed: Arc::new(Keyed::new(written.key.as_ref().map_or(1, |_| written.keys_max))),
            tally: Tally::new(Operator::Deadband, None, 0, written.shadow),
            written: written.clone(),
        })
    }

    /// Goes on where `before` is, if that is the same rule.
    pub(in crate::pipeline) fn succeed(&mut self, before: &Self) {
        if self.written == before.written {
            self.tally.succeed(&before.tally);
            self.passed = Arc::clone(&before.passed);
        }
    }

    /// Whether an event of a frame that meets `fate` goes on, and what it leaves then.
    pub(in crate::pipeline) fn judge<'a>(
        &'a self,
        sight: &mut Sight<'_, '_>,
        fate: &'a Arc<Fate>,
    ) -> (Did, Option<Mark<'a, Last>>) {
        let now_ms = sight.now_ms;
        let value = sight.value(&self.value, number);
        let moved = value
            .and_then(|value| self.key.read_of_tenant(sight, |key| self.moved(key, value, now_ms, fate)));
        let (is_still, mark) = match moved {
            Ok(mark) => (Ok(mark.is_none()), mark),
            Err(fault) => (Err(fault), None),
        };
        (self.tally.judge(is_still, self.written.on_error), mark)
    }

    /// `None` if the value has hardly changed.
    fn moved<'a>(
        &'a self,
        key: &[u8],
        value: f64,
        now_ms: u64,
        fate: &'a Arc<Fate>,
    ) -> Option<Mark<'a, Last>> {
        let mut place = self.passed.at(key);
        if let Some(last) = place.get() {
            // Of a clock that was set back the silence begins anew.
            last.at_ms = last.at_ms.min(now_ms);
            let is_silent = self.silence_max_ms.is_some_and(|most| now_ms - last.at_ms >= most);
            if !is_silent && self.is_near(last.value, value) && last.fate.carries(fate) {
                place.touch();
                return None;
            }
        }
        let key = place.key();
        place.put(Last { value, at_ms: now_ms, fate: Arc::clone(fate) });
        Some(Mark::new(&self.passed, key, fate))
    }

    fn is_near(&self, last: f64, value: f64) -> bool {
        let percent = self.written.change_percent.map(|percent| last.abs() * percent / 100.0);
        (value - last).abs() <= self.written.change.or(percent).unwrap_or(0.0)
    }

    /// Ends an event that does not go on.
    pub(in crate::pipeline) fn or_refuse(did: Did) -> Result<(), Reject> {
        did.or_refuse(Code::Filtered)
    }

    pub(in crate::pipeline) fn step(&self) -> Step {
        let Written { key, value, change, change_percent, silence_max, on_error, .. } = &self.written;
        let each = key.as_ref().map_or_else(String::new, |key| format!(" of the same {}", key.one_line()));
        let least = match (change, change_percent) {
            (Some(change), _) => change.to_string(),
            (None, percent) => format!("{}%", percent.unwrap_or(0.0)),
        };
        let silence = silence_max.map_or_else(String::new, |age| format!(" within {age}"));
        let value_cost = Cost::of([&self.value]);
        let key_cost = self.key.cost();
        Step {
            operator: Operator::Deadband,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: Cost {
                steps: value_cost.steps.saturating_add(key_cost.steps),
                looks_at_payload: value_cost.looks_at_payload || key_cost.looks_at_payload,
            },
            does: format!(
                "drops what differs in {} by no more than {least} from the last{each}{silence}; {}",
                value.text(),
                otherwise("key or number", *on_error)
            ),
        }
    }
}

fn number(value: Value<'_>) -> Result<f64, Fault> {
    #[expect(clippy::cast_precision_loss, reason = "what a double does not tell apart is near")]
    let number = match value {
        Value::Int(number) => number as f64,
        Value::Uint(number) => number as f64,
        Value::Double(number) => number,
        _ => return Err(Fault::Type),
    };
    if number.is_finite() { Ok(number) } else { Err(Fault::Range) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fate::{FATE_BYTES, Origin};
    use super::*;
    use crate::config::{Age, OnError};

    const NOW_MS: u64 = 1_790_000_000_000;

    fn deadband(change: Option<f64>, change_percent: Option<f64>) -> Deadband {
        let written = Written {
            key: Some(crate::config::Key(vec!["source".into()])),
            value: "data.celsius".into(),
            change,
            change_percent,
            silence_max: Some(Age(Duration::from_secs(60))),
            keys_max: 100,
            on_error: OnError::Keep,
            shadow: false,
        };
        Deadband::new(&written, &mut Compiler::default()).unwrap()
    }

    fn passes(deadband: &Deadband, value: f64, after_ms: i64, fate: &Arc<Fate>) -> bool {
        let mark = deadband.moved(b"a", value, NOW_MS.saturating_add_signed(after_ms), fate);
        let has_moved = mark.is_some();
        mark.into_iter().for_each(Mark::stay);
        has_moved
    }

    fn of(origin: u64) -> Arc<Fate> {
        Fate::new(Some(Origin(origin)))
    }

    #[track_caller]
    fn table(deadband: &Deadband, values: &[(f64, i64)], expected: &[u8]) {
        let fate = of(1);
        let passed =
            values.iter().map(|(value, after_ms)| u8::from(passes(deadband, *value, *after_ms, &fate)));
        assert_eq!(passed.collect::<Vec<_>>(), expected, "{values:?}");
    }

    #[test]
    fn what_has_moved_by_more_than_the_change_since_the_last_that_passed_passes() {
        let values = [(20.0, 0), (20.5, 1), (20.25, 2), (20.75, 3), (20.5, 4), (20.0, 5)];
        table(&deadband(Some(0.5), None), &values, &[1, 0, 0, 1, 0, 1]);
        table(&deadband(Some(0.0), None), &[(1.0, 0), (1.0, 1), (2.0, 2), (2.0, 3)], &[1, 0, 1, 0]);
        let values = [(200.0, 0), (204.0, 1), (205.0, 2), (-205.0, 3), (0.0, 4), (0.001, 5)];
        table(&deadband(None, Some(2.0)), &values, &[1, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn after_a_long_silence_the_next_passes() {
        let values = [(1.0, 0), (1.0, 59_999), (1.0, 60_000), (1.0, 119_999), (1.0, 120_000)];
        table(&deadband(Some(0.5), None), &values, &[1, 0, 1, 0, 1]);
        let back = [(1.0, 0), (1.0, -3_600_000), (1.0, -3_540_001), (1.0, -3_540_000)];
        table(&deadband(Some(0.5), None), &back, &[1, 0, 0, 1]);
    }

    #[test]
    fn a_value_that_was_lost_holds_nothing_back() {
        let deadband = deadband(Some(0.5), None);
        let lost = of(1);
        assert!(passes(&deadband, 1.0, 0, &lost));
        assert!(!passes(&deadband, 1.1, 1, &of(1)));
        assert!(passes(&deadband, 1.1, 2, &of(2)), "another client does not rely on what is under way");
        let deadband = self::deadband(Some(0.5), None);
        assert!(passes(&deadband, 1.0, 0, &lost));
        lost.settle(false);
        let again = of(1);
        assert!(passes(&deadband, 1.0, 3, &again));
        again.settle(true);
        assert!(!passes(&deadband, 1.0, 4, &of(2)));
    }

    #[test]
    fn only_numbers_are_values() {
        for (value, expected) in [
            (Value::Int(-3), Ok(-3.0)),
            (Value::Uint(3), Ok(3.0)),
            (Value::Double(0.5), Ok(0.5)),
            (Value::Double(f64::INFINITY), Err(Fault::Range)),
            (Value::Null, Err(Fault::Type)),
            (Value::Bool(true), Err(Fault::Type)),
        ] {
            assert_eq!(number(value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_a_key_costs_is_what_the_configuration_says() {
        assert_eq!(Keyed::<Last>::KEY_BYTES, 120 - FATE_BYTES - 1);
    }
}
