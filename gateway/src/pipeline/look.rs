//! What rules see of an event: its attributes, and the fields of its payload that one pass finds.

use tidegate_cel::{Compiler, Fault, Findings, Malformed, Plan, Program, Value};
use tidegate_wire::{Data, Event, Limits, Reject};

use super::seen::{Asked, Seen, payload};

/// What the expressions of some rules look at.
#[derive(Debug)]
pub(super) struct Look {
    plan: Plan,
    attributes: Vec<Asked>,
    is_into_payload: bool,
}

/// An event and what was found in it, for whoever judges it.
pub(super) struct Sight<'s, 'e> {
    pub(super) look: &'s Look,
    pub(super) event: &'s Event<'e>,
    pub(super) findings: &'s mut Findings,
    /// When its frame was received, Unix ms.
    pub(super) now_ms: u64,
    /// Whose clients send it.
    pub(super) tenant: &'s str,
    pub(super) limits: &'s Limits,
}

impl Look {
    pub(super) fn new(compiler: &Compiler) -> Self {
        Self {
            plan: compiler.plan().clone(),
            attributes: compiler.attributes().iter().map(|name| Asked::new(name)).collect(),
            is_into_payload: compiler.looks_at_payload(),
        }
    }

    /// The fields that are looked for.
    pub(super) fn paths(&self) -> Vec<String> {
        self.plan.paths()
    }

    /// Whether anything is looked at in the payload.
    pub(super) fn is_into_payload(&self) -> bool {
        self.is_into_payload
    }

    /// Finds what is looked at.
    pub(super) fn read(
        &self,
        event: &mut Event<'_>,
        limits: &Limits,
        findings: &mut Findings,
    ) -> Result<(), Reject> {
        if !self.is_into_payload {
            return Ok(());
        }
        let text = payload(event);
        if text.is_none() {
            // It has no fields, or is not even text.
            event.check(limits)?;
        }
        match self.plan.read(text, limits.max_json_depth, findings) {
            Ok(()) => {
                if let Data::Unchecked(json) = event.data {
                    event.data = Data::Json(json);
                }
                Ok(())
            }
            Err(Malformed::Duplicate(at)) => {
                // What is no JSON at all is told that first.
                event.check(limits)?;
                Err(twice(at))
            }
            // Says what every payload that is not JSON is told.
            Err(Malformed::Json(_)) => event.check(limits),
        }
    }

    /// The value of an expression for an event whose payload is `payload` by now.
    pub(super) fn value_in<'a>(
        &'a self,
        program: &'a Program,
        event: &'a Event<'_>,
        payload: &'a str,
        max_depth: u32,
        findings: &mut Findings,
    ) -> Result<Result<Value<'a>, Fault>, Malformed> {
        if self.is_into_payload {
            self.plan.read(Some(payload), max_depth, findings)?;
        }
        Ok(program.value(&self.plan, Some(payload), &Seen(event, &self.attributes), findings))
    }

    #[inline]
    pub(super) fn holds(
        &self,
        program: &Program,
        event: &Event<'_>,
        findings: &mut Findings,
    ) -> Result<bool, Fault> {
        let payload = if program.looks_at_payload() { payload(event) } else { None };
        program.holds(&self.plan, payload, &Seen(event, &self.attributes), findings)
    }
}

impl Sight<'_, '_> {
    /// Whether a condition holds.
    #[inline]
    pub(super) fn holds(&mut self, program: &Program) -> Result<bool, Fault> {
        self.look.holds(program, self.event, self.findings)
    }

    /// Calls `with` with the value of an expression.
    #[inline]
    pub(super) fn value<T>(
        &mut self,
        program: &Program,
        with: impl FnOnce(Value<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let payload = if program.looks_at_payload() { payload(self.event) } else { None };
        let seen = Seen(self.event, &self.look.attributes);
        with(program.value(&self.look.plan, payload, &seen, self.findings)?)
    }
}

/// What the client is told of a payload that rules cannot look at for certain.
pub(super) fn twice(at: usize) -> Reject {
    let message = format!("`data` names a member twice in one object, at byte {at}: rules look at it");
    Reject { code: tidegate_wire::Code::Malformed, message: message.into() }
}
