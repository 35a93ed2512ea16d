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

    /// Adds what the event gives to its group, or refuses it.
    #[inline]
    pub(in crate::pipeline) fn contribute(
        &self,
        sight: &mut Sight<'_, '_>,
        to: Destined,
        records: &mut Records,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        let mut fault = None;
        let mut key = String::new();
        let has_key = self.key.as_ref().is_some_and(|program| {
            let written = sight.value(program, |value| value.write_text(&mut key, &mut String::new()));
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
            key: has_key.then_some(&key),
            numbers: numbers.get(..self.values.len()).unwrap_or_default(),
        });
        Ok(())
    }

    pub(in crate::pipeline) fn step(&self) -> Step {
        let Written { key, window, values, groups_max, on_error, .. } = &self.written;
        let key = key.as_ref().map_or_else(|| "nothing".into(), Expression::one_line);
        let values: Vec<_> = values.iter().map(|(name, value)| format!("{name} = {}", value.one_line())).collect();
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
