//! What is done with the events of a route: the operators, in one fixed order, whatever the order in the file.

mod filter;

use tidegate_cel::{Compiler, Problem};
use tidegate_wire::{Code, Reject};

use self::filter::Filter;
use super::look::Sight;
use super::tally::Tally;
use super::trace::{Step, Trace};
use crate::config::Route;

/// The operators of a route.
#[derive(Debug)]
pub(super) struct Operators {
    filters: Vec<Filter>,
}

impl Operators {
    /// Those that judge an event as it came. `compiler` gives all their fields one pass.
    pub(super) fn new(route: &Route, compiler: &mut Compiler) -> Result<Self, Problem> {
        let filters = route.filters.iter().enumerate();
        let filters =
            filters.map(|(index, filter)| Filter::new(filter, index, compiler)).collect::<Result<_, _>>()?;
        Ok(Self { filters })
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        for filter in &mut self.filters {
            before.filters.iter().for_each(|other| filter.succeed(other));
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Who they are and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.filters.iter().map(|filter| &filter.tally)
    }

    /// What they do, in their order.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.filters.iter().map(Filter::step).collect()
    }

    /// Whether the event goes on, as it came: each is asked only if those before let it pass.
    #[inline]
    pub(super) fn judge(&self, sight: &mut Sight<'_, '_>, trace: &mut impl Trace) -> Result<(), Reject> {
        for filter in &self.filters {
            let did = filter.judge(sight);
            trace.rule(&filter.tally, did);
            did.or_refuse(Code::Filtered)?;
        }
        Ok(())
    }
}
