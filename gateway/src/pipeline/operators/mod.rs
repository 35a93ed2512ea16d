//! What is done with the events of a route: the operators, in one fixed order, whatever the order in the file.

mod edits;
mod fields;
mod filter;
mod redact;

use tidegate_cel::{Compiler, Problem};
use tidegate_wire::{Code, Event, Reject};

use self::fields::Change;
use self::filter::Filter;
use self::redact::Redact;
use super::edited::Edited;
use super::look::Sight;
use super::route::Judged;
use super::tally::Tally;
use super::trace::{Step, Trace};
use crate::config::Route;

/// The operators of a route.
#[derive(Debug)]
pub(super) struct Operators {
    filters: Vec<Filter>,
    redact: Option<Redact>,
    fields: Vec<Change>,
}

impl Operators {
    /// Those that judge an event as it came. `compiler` gives all their fields one pass.
    pub(super) fn new(route: &Route, compiler: &mut Compiler) -> Result<Self, Problem> {
        let filters = route.filters.iter().enumerate();
        let filters =
            filters.map(|(index, filter)| Filter::new(filter, index, compiler)).collect::<Result<_, _>>()?;
        let fields = route.fields.iter().enumerate();
        let fields = fields.map(|(index, field)| Change::new(field, index)).collect::<Result<_, _>>()?;
        Ok(Self { filters, redact: Redact::new(&route.redact)?, fields })
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        for filter in &mut self.filters {
            before.filters.iter().for_each(|other| filter.succeed(other));
        }
        if let (Some(redact), Some(before)) = (&mut self.redact, &before.redact) {
            redact.succeed(before);
        }
        for change in &mut self.fields {
            before.fields.iter().for_each(|other| change.succeed(other));
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty() && !self.has_edits()
    }

    /// Whether any of them edits the payload.
    pub(super) fn has_edits(&self) -> bool {
        self.redact.is_some() || !self.fields.is_empty()
    }

    /// Whether the payload is looked through, and so checked, when it is edited.
    pub(super) fn checks_payload(&self) -> bool {
        self.redact.is_some()
    }

    /// Who they are and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let filters = self.filters.iter().map(|filter| &filter.tally);
        let redact = self.redact.iter().flat_map(Redact::tallies);
        filters.chain(redact).chain(self.fields.iter().map(|change| &change.tally))
    }

    /// What they do, in their order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let edits = self.redact.iter().flat_map(Redact::steps).chain(self.fields.iter().map(Change::step));
        self.filters.iter().map(Filter::step).chain(edits).collect()
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

    /// Changes the payload of an event that goes on: what it is then is in `edited`.
    #[inline]
    pub(super) fn edit(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        if let Some(redact) = &self.redact {
            redact.edit(event, edited, judged, trace)?;
        }
        self.fields.iter().try_for_each(|change| change.edit(event, edited, judged, trace))
    }
}
