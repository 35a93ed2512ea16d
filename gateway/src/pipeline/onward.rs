//! What happens to an event that goes on, as edits leave it: whether it has changed enough, its key, or its aggregate.

use std::sync::Arc;

use tidegate_cel::{Compiler, Problem, Program};
use tidegate_wire::Reject;

use super::look::Sight;
use super::operators::deadband::{Deadband, Last};
use super::operators::{Aggregate, Fate, Mark};
use super::tally::Tally;
use super::trace::{Step, Trace};
use crate::config::Route;

/// The longest key that an expression may give, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 4_096;

/// The part of a route that comes after all have judged.
#[derive(Debug)]
pub(super) struct Onward {
    deadband: Option<Deadband>,
    key: Option<Program>,
    /// Many events to one record, instead of one each.
    pub(super) aggregate: Option<Aggregate>,
}

impl Onward {
    /// `None` if the route has nothing of it.
    pub(super) fn new(route: &Route, index: usize, compiler: &mut Compiler) -> Result<Option<Self>, Problem> {
        let key = route.key.as_ref().map(|key| compiler.value(key.text())).transpose()?;
        let deadband = route.deadband.as_ref().map(|written| Deadband::new(written, compiler)).transpose()?;
        let aggregate = Aggregate::new(route, index, compiler)?;
        let is_something = key.is_some() || deadband.is_some() || aggregate.is_some();
        Ok(is_something.then_some(Self { deadband, key, aggregate }))
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        if let (Some(deadband), Some(other)) = (&mut self.deadband, &before.deadband) {
            deadband.succeed(other);
        }
        if let (Some(aggregate), Some(other)) = (&mut self.aggregate, &before.aggregate) {
            aggregate.succeed(other);
        }
    }

    /// Its rules and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let deadband = self.deadband.iter().map(|deadband| &deadband.tally);
        deadband.chain(self.aggregate.iter().map(Aggregate::tally))
    }

    /// What its rules do, in their order.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        self.deadband.iter().map(Deadband::step).chain(self.aggregate.iter().map(Aggregate::step))
    }

    /// Whether the event goes on, and what it leaves then. `fate` is what becomes of its frame.
    pub(super) fn judge<'a>(
        &'a self,
        sight: &mut Sight<'_, '_>,
        fate: impl FnOnce() -> &'a Arc<Fate>,
        trace: &mut impl Trace,
    ) -> Result<Option<Mark<'a, Last>>, Reject> {
        let Some(deadband) = &self.deadband else { return Ok(None) };
        let (did, mark) = deadband.judge(sight, fate());
        trace.rule(&deadband.tally, did);
        Deadband::or_refuse(did)?;
        Ok(mark)
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
