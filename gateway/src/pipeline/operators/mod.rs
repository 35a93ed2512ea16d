//! What is done with the events of a route: the operators, in one fixed order, whatever the order in the file.

mod aggregate;
pub(super) mod deadband;
mod dedup;
mod edits;
mod expire;
mod fate;
mod fields;
mod filter;
mod key;
mod keyed;
mod mark;
mod rate;
mod redact;
mod sample;
mod throttle;
mod validate;

use std::sync::Arc;

use tidegate_cel::{Compiler, Problem};
use tidegate_wire::{Code, Event, Reject};

pub(super) use self::aggregate::{Aggregate, Destined};
use self::dedup::{Dedup, First};
use self::expire::Expire;
pub use self::fate::{Fate, Origin};
use self::fields::Change;
use self::filter::Filter;
pub(super) use self::mark::Mark;
use self::redact::Redact;
use self::sample::Sample;
use self::throttle::Throttle;
pub(super) use self::validate::{Frame, Validate};
use super::edited::Edited;
use super::look::Sight;
use super::route::Judged;
use super::tally::Tally;
use super::trace::{Step, Trace};
use crate::config::{OnError, Route};
use crate::schema::{Subject, Subjects};

/// The operators of a route.
#[derive(Debug)]
pub(super) struct Operators {
    expire: Option<Expire>,
    throttles: Vec<Throttle>,
    pub(super) validate: Option<Validate>,
    filters: Vec<Filter>,
    sample: Option<Sample>,
    dedup: Option<Dedup>,
    redact: Option<Redact>,
    fields: Vec<Change>,
}

/// What comes of an event that all let pass.
#[derive(Debug)]
#[must_use = "what it left in memory stays only if the event goes on"]
pub(super) struct Passed<'a> {
    /// The `sampledrate` that it has from now on.
    pub(super) sampledrate: Option<u64>,
    mark: Option<Mark<'a, First>>,
}

impl Passed<'_> {
    /// What comes of an event that met none.
    pub(super) const UNSEEN: Self = Self { sampledrate: None, mark: None };

    /// The event goes on.
    pub(super) fn goes_on(self) {
        self.mark.into_iter().for_each(Mark::stay);
    }
}

impl Operators {
    /// Those that judge an event as it came. `compiler` gives all their fields one pass.
    pub(super) fn new(route: &Route, subjects: &Subjects, compiler: &mut Compiler) -> Result<Self, Problem> {
        let throttles = route.throttle.iter().enumerate();
        let throttles = throttles
            .map(|(index, throttle)| Throttle::new(throttle, index, compiler))
            .collect::<Result<_, _>>()?;
        let filters = route.filters.iter().enumerate();
        let filters =
            filters.map(|(index, filter)| Filter::new(filter, index, compiler)).collect::<Result<_, _>>()?;
        let fields = route.fields.iter().enumerate();
        let fields = fields.map(|(index, field)| Change::new(field, index)).collect::<Result<_, _>>()?;
        Ok(Self {
            expire: route.expire.as_ref().map(Expire::new),
            throttles,
            validate: Validate::new(route, subjects),
            filters,
            sample: route.sample.as_ref().map(|sample| Sample::new(sample, compiler)).transpose()?,
            dedup: route.dedup.as_ref().map(|dedup| Dedup::new(dedup, compiler)).transpose()?,
            redact: Redact::new(&route.redact)?,
            fields,
        })
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        if let (Some(expire), Some(other)) = (&mut self.expire, &before.expire) {
            expire.succeed(other);
        }
        for throttle in &mut self.throttles {
            before.throttles.iter().for_each(|other| throttle.succeed(other));
        }
        if let (Some(validate), Some(before)) = (&mut self.validate, &before.validate) {
            validate.succeed(before);
        }
        for filter in &mut self.filters {
            before.filters.iter().for_each(|other| filter.succeed(other));
        }
        if let (Some(sample), Some(other)) = (&mut self.sample, &before.sample) {
            sample.succeed(other);
        }
        if let (Some(dedup), Some(other)) = (&mut self.dedup, &before.dedup) {
            dedup.succeed(other);
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
        !self.has_judges() && !self.has_edits()
    }

    /// Whether any of them says which events go on.
    fn has_judges(&self) -> bool {
        let Self { expire, throttles, validate, filters, sample, dedup, .. } = self;
        let is_judged = expire.is_some() || validate.is_some() || sample.is_some() || dedup.is_some();
        is_judged || !throttles.is_empty() || !filters.is_empty()
    }

    /// Whether any of them edits the payload.
    pub(super) fn has_edits(&self) -> bool {
        self.redact.is_some() || !self.fields.is_empty()
    }

    /// Whether the payload is looked through, and so checked, when it is edited; operators that judge events want that before.
    pub(super) fn checks_payload(&self) -> bool {
        self.redact.is_some() && !self.has_judges()
    }

    /// Who they are and what they have done, in their order.
    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let expire = self.expire.iter().map(|expire| &expire.tally);
        let throttles = self.throttles.iter().map(|throttle| &throttle.tally);
        let validate = self.validate.iter().map(|validate| &validate.tally);
        let filters = self.filters.iter().map(|filter| &filter.tally);
        let sample = self.sample.iter().map(|sample| &sample.tally);
        let dedup = self.dedup.iter().map(|dedup| &dedup.tally);
        let redact = self.redact.iter().flat_map(Redact::tallies);
        let fields = self.fields.iter().map(|change| &change.tally);
        let judges = expire.chain(throttles).chain(validate).chain(filters).chain(sample).chain(dedup);
        judges.chain(redact).chain(fields)
    }

    /// What they do, in their order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let expire = self.expire.iter().map(Expire::step);
        let throttles = self.throttles.iter().map(Throttle::step);
        let validate = self.validate.iter().map(Validate::step);
        let filters = self.filters.iter().map(Filter::step);
        let sample = self.sample.iter().map(Sample::step);
        let dedup = self.dedup.iter().map(Dedup::step);
        let edits = self.redact.iter().flat_map(Redact::steps).chain(self.fields.iter().map(Change::step));
        expire
            .chain(throttles)
            .chain(validate)
            .chain(filters)
            .chain(sample)
            .chain(dedup)
            .chain(edits)
            .collect()
    }

    /// The subject whose schema must be known before an event may be taken.
    pub(super) fn awaits(&self) -> Option<&Arc<Subject>> {
        self.validate.as_ref()?.awaits()
    }

    /// Whether the event goes on, as it came: each is asked only if those before let it pass. `fate` is what becomes of its
    /// frame.
    #[inline]
    pub(super) fn judge<'a>(
        &'a self,
        sight: &mut Sight<'_, '_>,
        fate: impl FnOnce() -> &'a Arc<Fate>,
        frame: &mut Frame,
        trace: &mut impl Trace,
    ) -> Result<Passed<'a>, Reject> {
        let mut passed = Passed::UNSEEN;
        if let Some(expire) = &self.expire {
            let did = expire.judge(sight);
            trace.rule(&expire.tally, did);
            expire.or_refuse(did)?;
        }
        for throttle in &self.throttles {
            let did = throttle.judge(sight);
            trace.rule(&throttle.tally, did);
            did.or_refuse(Code::Throttled)?;
        }
        if let Some(validate) = &self.validate {
            let (did, fits) = validate.judge(sight.event, sight.limits, frame);
            trace.rule(&validate.tally, did);
            fits?;
        }
        for filter in &self.filters {
            let did = filter.judge(sight);
            trace.rule(&filter.tally, did);
            did.or_refuse(Code::Filtered)?;
        }
        if let Some(sample) = &self.sample {
            let (did, sampledrate) = sample.judge(sight);
            trace.rule(&sample.tally, did);
            did.or_refuse(Code::Sampled)?;
            passed.sampledrate = sampledrate;
        }
        if let Some(dedup) = &self.dedup {
            let (did, mark) = dedup.judge(sight, fate());
            trace.rule(&dedup.tally, did);
            did.or_refuse(Code::Duplicate)?;
            passed.mark = mark;
        }
        Ok(passed)
    }

    /// Whether anything of the payload is kept back.
    pub(super) fn redacts(&self) -> bool {
        self.redact.is_some()
    }

    /// Takes out of the payload of an event that was refused what is kept back: what it is then is in `edited`.
    pub(super) fn redact_uncounted(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
    ) -> Result<(), Reject> {
        match &self.redact {
            Some(redact) => redact.edit_uncounted(event, edited, judged),
            None => Ok(()),
        }
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

/// What becomes of an event without an answer, in words.
fn otherwise(without: &str, on_error: OnError) -> String {
    let then = match on_error {
        OnError::Keep => "goes on",
        OnError::Drop => "dropped",
    };
    format!("without a {without}: {then}")
}
