//! What is done with the events of a route: the operators, in one fixed order, whatever the order in the file.

mod filter;
mod validate;

use std::sync::Arc;

use tidegate_cel::{Compiler, Problem};
use tidegate_wire::{Code, Reject};

use self::filter::Filter;
pub(super) use self::validate::{Frame, Validate};
use super::look::Sight;
use super::tally::Tally;
use super::trace::{Step, Trace};
use crate::config::Route;
use crate::schema::{Subject, Subjects};

/// The operators of a route.
#[derive(Debug)]
pub(super) struct Operators {
    pub(super) validate: Option<Validate>,
    filters: Vec<Filter>,
}

impl Operators {
    /// Those that judge an event as it came. `compiler` gives all their fields one pass.
    pub(super) fn new(route: &Route, subjects: &Subjects, compiler: &mut Compiler) -> Result<Self, Problem> {
        let filters = route.filters.iter().enumerate();
        let filters =
            filters.map(|(index, filter)| Filter::new(filter, index, compiler)).collect::<Result<_, _>>()?;
        Ok(Self { validate: Validate::new(route, subjects), filters })
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        if let (Some(validate), Some(before)) = (&mut self.validate, &before.validate) {
            validate.succeed(before);
        }
        for filter in &mut self.filters {
            before.filters.iter().for_each(|other| filter.succeed(other));
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.validate.is_none() && self.filters.is_empty()
    }

    /// Who they are and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let validate = self.validate.iter().map(|validate| &validate.tally);
        validate.chain(self.filters.iter().map(|filter| &filter.tally))
    }

    /// What they do, in their order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let validate = self.validate.iter().map(Validate::step);
        validate.chain(self.filters.iter().map(Filter::step)).collect()
    }

    /// The subject whose schema must be known before an event may be taken.
    pub(super) fn awaits(&self) -> Option<&Arc<Subject>> {
        self.validate.as_ref()?.awaits()
    }

    /// Whether the event goes on, as it came: each is asked only if those before let it pass.
    #[inline]
    pub(super) fn judge(
        &self,
        sight: &mut Sight<'_, '_>,
        frame: &mut Frame,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        if let Some(validate) = &self.validate {
            let (did, fits) = validate.judge(sight.event, frame);
            trace.rule(&validate.tally, did);
            fits?;
        }
        for filter in &self.filters {
            let did = filter.judge(sight);
            trace.rule(&filter.tally, did);
            did.or_refuse(Code::Filtered)?;
        }
        Ok(())
    }
}
