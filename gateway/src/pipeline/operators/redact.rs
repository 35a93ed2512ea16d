//! `redact`: what of payloads goes no further.

use std::sync::Arc;

use aws_lc_rs::hmac;
use tidegate_cel::edit::{Digest, Redactor};
use tidegate_cel::{Fault, Problem};
use tidegate_wire::{Data, Event, Reject};

use super::edits::{misshapen, refusal, verdict};

use crate::config::{Action, OnError, Redact as Written, Secret};
use crate::pipeline::edited::{Draft, Edited};
use crate::pipeline::route::Judged;
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::{Cost, Step, Trace};

/// All redactions of a route: one pass makes them all.
#[derive(Debug)]
pub(super) struct Redact {
    rules: Vec<Rule>,
    redactor: Redactor,
}

#[derive(Debug)]
struct Rule {
    tally: Tally,
    written: Written,
}

impl Redact {
    /// `None` if there are none.
    pub(super) fn new(written: &[Written]) -> Result<Option<Self>, Problem> {
        if written.is_empty() {
            return Ok(None);
        }
        let redactions = written.iter().map(|redact| redact.redaction(digest(redact.key.as_ref())));
        let redactor = Redactor::new(redactions.collect::<Result<_, _>>()?)?;
        let rules = written.iter().enumerate().map(|(index, written)| Rule {
            tally: Tally::new(Operator::Redact, written.name.as_deref(), index, written.shadow),
            written: written.clone(),
        });
        Ok(Some(Self { rules: rules.collect(), redactor }))
    }

    /// Goes on counting where `before` is, for each redaction that is the same.
    pub(super) fn succeed(&mut self, before: &Self) {
        for rule in &mut self.rules {
            let is_same =
                |other: &&Rule| rule.tally.is_named_as(&other.tally) && rule.written == other.written;
            if let Some(other) = before.rules.iter().find(is_same) {
                rule.tally.succeed(&other.tally);
            }
        }
    }

    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.rules.iter().map(|rule| &rule.tally)
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        self.rules.iter().map(Rule::step)
    }

    /// Writes what is left of the payload. It is checked on the way.
    pub(super) fn edit(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        self.run(event, edited, judged, |rule, is_changed, fault| rule.end(is_changed, fault, trace))
    }

    /// The same for an event that was refused: it is counted where that was.
    pub(super) fn edit_uncounted(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
    ) -> Result<(), Reject> {
        self.run(event, edited, judged, |rule, is_changed, fault| {
            or_refuse(verdict(is_changed, fault, rule.written.on_error, &rule.tally))
        })
    }

    /// Asks `end` for each rule, which changed something or cannot be followed, whether the event goes on.
    fn run(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
        mut end: impl FnMut(&Rule, bool, Option<Fault>) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        let limits = judged.limits;
        let Draft { payload: Some(payload), next, buffers, .. } = edited.draft(event) else {
            // It is not even text, or has nothing of what could be redacted.
            event.check(limits)?;
            let fault = (!event.data.is_none()).then_some(Fault::Type);
            return self.rules.iter().try_for_each(|rule| end(rule, false, fault));
        };
        let bytes_max = limits.max_event_bytes as usize;
        let done = match self.redactor.run(payload, limits.max_json_depth, bytes_max, buffers, next) {
            Ok(done) => done,
            // Says what every payload that is not JSON is told.
            Err(error) => return Err(event.check(limits).err().unwrap_or_else(|| refusal(error, judged))),
        };
        if let Data::Unchecked(json) = event.data {
            event.data = Data::Json(json);
        }
        if done.is_edited {
            edited.accept();
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let is_in = |rules: u64| rules >> index & 1 == 1;
            end(rule, is_in(done.changed), is_in(done.faults).then_some(Fault::Type))?;
        }
        Ok(())
    }
}

impl Rule {
    /// Counts what it did; where it cannot be followed the event ends, unless that is wanted otherwise.
    fn end(&self, is_changed: bool, fault: Option<Fault>, trace: &mut impl Trace) -> Result<(), Reject> {
        let verdict = verdict(is_changed, fault, self.written.on_error, &self.tally);
        let did = self.tally.end(Did { verdict, fault });
        trace.rule(&self.tally, did);
        or_refuse(did.verdict)
    }

    fn step(&self) -> Step {
        let Written { path, action, pattern, ignore_case, on_error, .. } = &self.written;
        let verb = match action {
            Action::Remove => "remove",
            Action::Mask => "mask",
            Action::Hash => "hash",
            Action::Address => "truncate the address",
        };
        let part = pattern.as_ref().map(|pattern| format!("what matches {pattern} in ")).unwrap_or_default();
        let case = if *ignore_case { ", in any case" } else { "" };
        let otherwise = match on_error {
            OnError::Keep => "goes on as it is",
            OnError::Drop => "refused",
        };
        Step {
            operator: Operator::Redact,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: Cost { steps: 0, looks_at_payload: true },
            does: format!("{verb} {part}{path}{case}; of another shape: {otherwise}"),
        }
    }
}

fn or_refuse(verdict: Verdict) -> Result<(), Reject> {
    match verdict {
        Verdict::Dropped => Err(misshapen()),
        Verdict::Kept | Verdict::Changed | Verdict::WouldDrop => Ok(()),
    }
}

/// HMAC-SHA-256 (RFC 2104), of which half is kept.
fn digest(key: Option<&Secret>) -> Digest {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.map(Secret::reveal).unwrap_or_default().as_bytes());
    Arc::new(move |text| hmac::sign(&key, text).as_ref().first_chunk().copied().unwrap_or_default())
}
