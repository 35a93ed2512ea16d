//! `fields`: members of the payload that get another name or value, or go.

use tidegate_cel::edit::{Action, EditError, Edited as Outcome, Field, Path, Redaction, Redactor};
use tidegate_cel::{Compiler, Fault, Problem, Program};
use tidegate_wire::{Event, Reject};

use super::edits::{misshapen, refusal, verdict};
use crate::config::{Expression, Field as Written, OnError};
use crate::pipeline::edited::{Draft, Edited};
use crate::pipeline::look::Look;
use crate::pipeline::route::Judged;
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::{Cost, Step, Trace};

/// One change of the payload, ready to be made.
#[derive(Debug)]
pub(super) struct Change {
    does: Does,
    pub(super) tally: Tally,
    written: Written,
}

#[derive(Debug)]
enum Does {
    Rename(Field, String),
    /// The expression sees the payload as it is at this step, so it has a look of its own.
    Set(Field, Program, Look),
    Drop(Redactor),
}

impl Change {
    pub(super) fn new(written: &Written, index: usize) -> Result<Self, Problem> {
        let field = |path: &String| Field::new(&Path::parse(path)?);
        let does = match written {
            Written { rename: Some(path), to, .. } => {
                Does::Rename(field(path)?, to.clone().unwrap_or_default())
            }
            Written { set: Some(path), value, .. } => {
                let mut compiler = Compiler::default();
                // Without it, which the configuration refuses, it is null.
                let value = compiler.value(value.as_ref().map_or("null", Expression::text))?;
                Does::Set(field(path)?, value, Look::new(&compiler))
            }
            Written { drop, .. } => {
                let path = Path::parse(drop.as_deref().unwrap_or_default())?;
                let drop = Redaction {
                    path,
                    action: Action::Remove,
                    pattern: None,
                    ignore_case: false,
                    is_shadow: false,
                };
                Does::Drop(Redactor::new(vec![drop])?)
            }
        };
        let tally = Tally::new(Operator::Fields, written.name.as_deref(), index, written.shadow);
        Ok(Self { does, tally, written: written.clone() })
    }

    /// Goes on counting where `before` is, if that is the same change.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.tally.is_named_as(&before.tally) && self.written == before.written {
            self.tally.succeed(&before.tally);
        }
    }

    /// Writes the payload as it is then, which was checked.
    pub(super) fn edit(
        &self,
        event: &Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        let is_shadow = self.tally.is_shadow();
        let (verdict, fault) = match self.does.edit(event, edited.draft(event), judged) {
            Ok(Done { is_changed, fault }) => {
                if is_changed && !is_shadow {
                    edited.accept();
                }
                (verdict(is_changed, fault, self.written.on_error, &self.tally), fault)
            }
            Err(EditError::TooLong) if is_shadow => (Verdict::WouldDrop, None),
            Err(error) => return Err(refusal(error, judged)),
        };
        let did = self.tally.end(Did { verdict, fault });
        trace.rule(&self.tally, did);
        match did.verdict {
            Verdict::Dropped => Err(misshapen()),
            _ => Ok(()),
        }
    }

    pub(super) fn step(&self) -> Step {
        let Written { rename, to, set, value, drop, on_error, .. } = &self.written;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let verb = match self.does {
            Does::Rename(..) => format!("rename {} to {}", text(rename), text(to)),
            Does::Set(..) => format!(
                "set {} to {}",
                text(set),
                value
                    .as_ref()
                    .map(|value| value.text().split_whitespace().collect::<Vec<_>>().join(" "))
                    .unwrap_or_default()
            ),
            Does::Drop(_) => format!("drop {}", text(drop)),
        };
        let otherwise = match on_error {
            OnError::Keep => "goes on without",
            OnError::Drop => "refused",
        };
        let cost = match &self.does {
            Does::Set(_, program, _) => Cost::of([program]),
            _ => Cost::default(),
        };
        Step {
            operator: Operator::Fields,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: Cost { looks_at_payload: true, ..cost },
            does: format!("{verb}; where that cannot be: {otherwise}"),
        }
    }
}

/// What came of a change: one of many places may be of another shape than the others.
struct Done {
    is_changed: bool,
    fault: Option<Fault>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        let fault = match outcome {
            Outcome::Fault(fault) => Some(fault),
            Outcome::Changed | Outcome::Unchanged => None,
        };
        Self { is_changed: outcome == Outcome::Changed, fault }
    }
}

impl Does {
    fn edit(&self, event: &Event<'_>, draft: Draft<'_>, judged: Judged<'_>) -> Result<Done, EditError> {
        let Draft { payload, next, buffers, findings } = draft;
        let Some(payload) = payload else {
            return Ok(match (event.data.is_none(), self) {
                (true, Self::Rename(..) | Self::Drop(_)) => Outcome::Unchanged,
                (true, Self::Set(..)) => Outcome::Fault(Fault::Absent),
                (false, _) => Outcome::Fault(Fault::Type),
            }
            .into());
        };
        let (depth, bytes_max) = (judged.limits.max_json_depth, judged.limits.max_event_bytes as usize);
        match self {
            Self::Rename(field, to) => field.rename(to, payload, bytes_max, buffers, next).map(Done::from),
            Self::Set(field, program, look) => {
                match look.value_in(program, event, payload, depth, findings)? {
                    Ok(value) => field.set(value, payload, bytes_max, buffers, next).map(Done::from),
                    Err(fault) => Ok(Outcome::Fault(fault).into()),
                }
            }
            Self::Drop(redactor) => {
                let done = redactor.run(payload, depth, bytes_max, buffers, next)?;
                Ok(Done { is_changed: done.is_edited, fault: (done.faults != 0).then_some(Fault::Type) })
            }
        }
    }
}
