//! `filters`: which of a route's events are kept.

use tidegate_cel::{Compiler, Problem, Program};

use crate::config::{Condition, Filter as Written, OnError};
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally};
use crate::pipeline::trace::{Cost, Step};

/// A filter, ready to be asked.
#[derive(Debug)]
pub(super) struct Filter {
    program: Program,
    /// What the condition says of events that are dropped.
    drops: bool,
    pub(super) tally: Tally,
    written: Written,
}

impl Filter {
    pub(super) fn new(written: &Written, index: usize, compiler: &mut Compiler) -> Result<Self, Problem> {
        // Without either, which the configuration refuses, all are kept.
        let (condition, drops) = match (&written.keep, &written.drop) {
            (Some(keep), _) => (keep.text(), false),
            (None, drop) => (drop.as_ref().map_or("false", Condition::text), true),
        };
        Ok(Self {
            program: compiler.condition(condition)?,
            drops,
            tally: Tally::new(Operator::Filter, written.name.as_deref(), index, written.shadow),
            written: written.clone(),
        })
    }

    /// Goes on counting where `before` is, if that is the same filter.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.tally.is_named_as(&before.tally) && self.written == before.written {
            self.tally.succeed(&before.tally);
        }
    }

    /// Whether an event goes on.
    #[inline]
    pub(super) fn judge(&self, sight: &mut Sight<'_, '_>) -> Did {
        let drops = sight.holds(&self.program).map(|holds| holds == self.drops);
        self.tally.judge(drops, self.written.on_error)
    }

    pub(super) fn step(&self) -> Step {
        let (verb, condition) = match (&self.written.keep, &self.written.drop) {
            (Some(keep), _) => ("keep", keep.one_line()),
            (None, drop) => ("drop", drop.as_ref().map(Condition::one_line).unwrap_or_default()),
        };
        let otherwise = match self.written.on_error {
            OnError::Keep => "goes on",
            OnError::Drop => "dropped",
        };
        Step {
            operator: Operator::Filter,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: Cost::of([&self.program]),
            does: format!("{verb} {condition}; without an answer: {otherwise}"),
        }
    }
}
