//! What happens to an event that goes on: edits, what is added, and where it goes under which key.

use tidegate_cel::{Compiler, Problem, Program};

use super::look::Sight;
use super::operators::Aggregate;
use super::tally::Tally;
use super::trace::Step;
use crate::config::Route;

/// The longest key that an expression may give, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 4_096;

/// The part of a route that comes after all have judged.
#[derive(Debug)]
pub(super) struct Onward {
    key: Option<Program>,
    /// Many events to one record, instead of one each.
    pub(super) aggregate: Option<Aggregate>,
}

impl Onward {
    /// `None` if the route has nothing of it.
    pub(super) fn new(route: &Route, index: usize, compiler: &mut Compiler) -> Result<Option<Self>, Problem> {
        let key = route.key.as_ref().map(|key| compiler.value(key.text())).transpose()?;
        let aggregate = Aggregate::new(route, index, compiler)?;
        Ok((key.is_some() || aggregate.is_some()).then_some(Self { key, aggregate }))
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        if let (Some(aggregate), Some(before)) = (&mut self.aggregate, &before.aggregate) {
            aggregate.succeed(before);
        }
    }

    /// Who they are and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.aggregate.iter().map(Aggregate::tally)
    }

    /// What they do, in their order.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.aggregate.iter().map(Aggregate::step).collect()
    }

    /// Writes the record's key into `key`; whether there is one other than that of every event.
    pub(super) fn key(&self, sight: &mut Sight<'_, '_>, key: &mut String) -> bool {
        let Some(program) = &self.key else { return false };
        key.clear();
        let mut escaped = String::new();
        let written = sight.value(program, |value| value.write_text(key, &mut escaped));
        written.is_ok() && key.len() <= KEY_BYTES_MAX
    }
}
