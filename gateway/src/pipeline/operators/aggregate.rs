//! `aggregate`: events that become one record with others.

use std::sync::Arc;

use tidegate_cel::{Compiler, Fault, Problem, Program, Value};
use tidegate_wire::{Code, Reject};

use crate::config::{Aggregate as Written, Expression, OnError, Route};
use crate::pipeline::look::Sight;
use crate::pipeline::onward::KEY_BYTES_MAX;
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::{Cost, Step, Trace};
use crate::record::{Aggregation, Contribution, Number, Records, TopicId};

/// The most values of a rule.
const VALUES_MAX: usize = 16;

/// What an event gives to its group.
#[derive(Debug)]
pub(in crate::pipeline) struct Aggregate {
    key: Option<Program>,
    values: Vec<Program>,
    rule: Arc<Aggregation>,
    tally: Tally,
    written: Written,
}

/// Which event it is, and where its group goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Destined {
    pub(in crate::pipeline) index: u32,
    pub(in crate::pipeline) topic: TopicId,
}

impl Aggregate {
    /// `index` is the route's position.
    pub(in crate::pipeline) fn new(
        route: &Route,
        index: usize,
        compiler: &mut Compiler,
    ) -> Result<Option<Self>, Problem> {
        let Some(written) = &route.aggregate else { return Ok(None) };
        let key = written.key.as_ref().map(|key| compiler.value(key.text())).transpose()?;
        let values = written.values.values().map(|value| compiler.number(value.text()));
        let values = values.collect::<Result<_, _>>()?;
        let rule = Aggregation {
            route: route.name.clone().unwrap_or_else(|| (index + 1).to_string()),
            kind: written.kind.clone(),
            encoding: route.encoding,
            window_ms: u64::try_from(written.window.0.as_millis()).unwrap_or(u64::MAX),
            groups_max: written.groups_max as usize,
            values: written.values.keys().cloned().collect(),
        };
        Ok(Some(Self {
            key,
            values,
            rule: Arc::new(rule),
            tally: Tally::new(Operator::Aggregate, None, 0, false),
            written: written.clone(),
        }))
    }

    /// Goes on with the windows of `before`, if that is the same rule.
    pub(in crate::pipeline) fn succeed(&mut self, before: &Self) {
        if self.written == before.written && self.rule == before.rule {
            self.tally.succeed(&before.tally);
            self.rule = Arc::clone(&before.rule);
        }
    }

    pub(in crate::pipeline) fn rule(&self) -> &Arc<Aggregation> {
        &self.rule
    }

    pub(in crate::pipeline) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Adds what the event gives to its group, or refuses it. `key` is room for its key.
    #[inline]
    pub(in crate::pipeline) fn contribute(
        &self,
        sight: &mut Sight<'_, '_>,
        to: Destined,
        key: &mut String,
        records: &mut Records,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        let mut fault = None;
        key.clear();
        let has_key = self.key.as_ref().is_some_and(|program| {
            let written = sight.value(program, |value| value.write_text(key, &mut String::new()));
            fault = written.err().or((key.len() > KEY_BYTES_MAX).then_some(Fault::Range));
            fault.is_none()
        });
        let mut numbers = [None; VALUES_MAX];
        for (program, number) in self.values.iter().zip(&mut numbers) {
            match sight.value(program, |value| self::number(&value)) {
                Ok(value) => *number = Some(value),
                Err(why) => fault = fault.or(Some(why)),
            }
        }
        let is_dropped = fault.is_some() && self.written.on_error == OnError::Drop;
        let verdict = if is_dropped { Verdict::Dropped } else { Verdict::Changed };
        let did = self.tally.end(Did { verdict, fault });
        trace.rule(&self.tally, did);
        did.or_refuse(Code::Filtered)?;
        records.contribute(&Contribution {
            index: to.index,
            to: &self.rule,
            topic: to.topic,
            key: has_key.then_some(key),
            numbers: numbers.get(..self.values.len()).unwrap_or_default(),
        });
        Ok(())
    }

    pub(in crate::pipeline) fn step(&self) -> Step {
        let Written { key, window, values, groups_max, on_error, .. } = &self.written;
        let key = key.as_ref().map_or_else(|| "nothing".into(), Expression::one_line);
        let values: Vec<_> =
            values.iter().map(|(name, value)| format!("{name} = {}", value.one_line())).collect();
        let values = if values.is_empty() { String::new() } else { format!(" of {}", values.join(", ")) };
        let otherwise = match on_error {
            OnError::Keep => "counted without it",
            OnError::Drop => "dropped",
        };
        Step {
            operator: Operator::Aggregate,
            name: self.tally.name().to_owned(),
            is_shadow: false,
            cost: Cost::of(self.key.iter().chain(&self.values)),
            does: format!(
                "one record{values} for each {window} and {key}, at most {groups_max} at once; without an answer: {otherwise}"
            ),
        }
    }
}

/// A value as a number that JSON can tell.
fn number(value: &Value<'_>) -> Result<Number, Fault> {
    match value {
        Value::Int(value) => Ok(Number::Int((*value).into())),
        Value::Uint(value) => Ok(Number::Int((*value).into())),
        Value::Double(value) if value.is_finite() => Ok(Number::Double(*value)),
        Value::Double(_) => Err(Fault::Range),
        _ => Err(Fault::Type),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use tidegate_wire::{Aliases, Limits, Raw};

    use super::*;
    use crate::access::Grant;
    use crate::config::Config;
    use crate::pipeline::{Encodes, Ids, Pipeline, Sender, Stamp, Untold};

    fn pipeline(aggregate: &str) -> Pipeline {
        let config = format!("[[routes]]\ntopic = \"t\"\naggregate = {{ window = \"1m\", {aggregate} }}");
        let routes = Config::parse("t.toml", &config).unwrap().routes;
        Pipeline::new(Limits::default(), &routes, &["t".to_owned()], Encodes::ByRoute).unwrap()
    }

    /// What an event with these data gives: its key and numbers; or the code it is refused with.
    fn given(pipeline: &Pipeline, data: &str) -> Result<(Option<String>, Vec<Option<Number>>), Code> {
        let event = format!(r#"{{"type":"t","data":{data}}}"#);
        let mut records = Records::default();
        let mut stamp = Stamp::new(0, "/a", Some("client"), Ids::Numbered { prefix: "a-", first_seq: 1 });
        let sender = Sender { grant: &Grant::open(), aliases: &Aliases::default() };
        let raw = Raw::Structured(event.as_bytes());
        let ran = pipeline.rules().run(&raw, 7, sender, &mut stamp, &mut records, &mut Untold);
        assert_eq!(records.len(), 0, "it is no record of its own");
        ran.map_err(|reject| reject.code).map(|()| {
            let mut contributions = records.contributions();
            let only = contributions.next().unwrap();
            assert!(contributions.next().is_none());
            assert_eq!(only.index, 7);
            (only.key.map(str::to_owned), only.numbers.to_vec())
        })
    }

    #[test]
    fn an_event_gives_its_key_and_its_numbers() {
        use Number::{Double, Int};
        let pipeline = pipeline("key = 'data.k', values = { n = 'data.n', twice = 'data.n * 2' }");
        for (data, key, numbers) in [
            (r#"{"k":"a","n":3}"#, Some("a"), [Some(Int(3)), Some(Int(6))]),
            (r#"{"k":7,"n":1.5}"#, Some("7"), [Some(Double(1.5)), Some(Double(3.0))]),
            (r#"{"k":"\u0061","n":"3"}"#, Some("a"), [None, None]),
            (r#"{"n":18446744073709551615}"#, None, [Some(Int(18_446_744_073_709_551_615)), None]),
            (r#"{"k":null,"n":1e999}"#, None, [None, None]),
            (r#"{"k":"a","n":9223372036854775807}"#, Some("a"), [Some(Int(i64::MAX.into())), None]),
            ("7", None, [None, None]),
        ] {
            assert_eq!(given(&pipeline, data), Ok((key.map(str::to_owned), numbers.to_vec())), "{data}");
        }
        let long = format!(r#"{{"k":"{}","n":1}}"#, "x".repeat(5_000));
        assert_eq!(given(&pipeline, &long).unwrap().0, None);
    }

    #[test]
    fn without_an_answer_it_may_be_dropped_and_what_was_done_is_counted() {
        let pipeline = pipeline("values = { n = 'data.n' }, on_error = \"drop\"");
        assert_eq!(given(&pipeline, r#"{"n":1}"#), Ok((None, vec![Some(Number::Int(1))])));
        assert_eq!(given(&pipeline, "{}"), Err(Code::Filtered));
        let rules = pipeline.rules();
        let (_, tally) = rules.tallies().next().unwrap();
        let counts = tally.counts();
        let read = [&counts.changed, &counts.dropped, &counts.faults, &counts.kept];
        assert_eq!(read.map(|count| count.load(Ordering::Relaxed)), [1, 1, 1, 0]);
    }

    #[test]
    fn the_same_rule_stays_the_same_over_a_change_and_another_does_not() {
        let text = |groups_max: u32| {
            let config = format!(
                "[[routes]]\ntopic = \"t\"\naggregate = {{ window = \"1m\", groups_max = {groups_max} }}"
            );
            Config::parse("t.toml", &config).unwrap().routes
        };
        let pipeline = pipeline("groups_max = 7");
        let mut records = Records::default();
        let mut stamp = Stamp::new(0, "/a", None, Ids::Numbered { prefix: "a-", first_seq: 1 });
        let sender = Sender { grant: &Grant::open(), aliases: &Aliases::default() };
        let raw = Raw::Structured(br#"{"type":"t"}"#);
        pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut Untold).unwrap();
        let rule = Arc::clone(records.contributions().next().unwrap().to);
        pipeline.replace(&text(7)).unwrap();
        assert!(pipeline.rules().has(&rule));
        pipeline.replace(&text(8)).unwrap();
        assert!(!pipeline.rules().has(&rule));
    }
}
