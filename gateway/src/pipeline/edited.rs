//! The payload of one event as edits leave it.

use tidegate_cel::Findings;
use tidegate_cel::edit::Buffers;
use tidegate_wire::{Data, Event};

use super::seen::payload;

/// What edits write into; used again for the next event, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub(super) struct Edited {
    is_changed: bool,
    now: Vec<u8>,
    next: Vec<u8>,
    buffers: Buffers,
    /// What expressions between edits find in the payload.
    findings: Findings,
}

/// A payload that is to be edited, and what that takes.
pub(super) struct Draft<'s> {
    /// The payload as it is now, if it is JSON.
    pub(super) payload: Option<&'s str>,
    pub(super) next: &'s mut Vec<u8>,
    pub(super) buffers: &'s mut Buffers,
    pub(super) findings: &'s mut Findings,
}

impl Edited {
    /// Forgets the event before.
    pub(super) fn begin(&mut self) {
        self.is_changed = false;
    }

    /// The payload as it is now, to be written again.
    pub(super) fn draft<'s>(&'s mut self, event: &'s Event<'_>) -> Draft<'s> {
        let Self { is_changed, now, next, buffers, findings } = self;
        let payload = if *is_changed { std::str::from_utf8(now).ok() } else { payload(event) };
        Draft { payload, next, buffers, findings }
    }

    /// What was written into the draft is the payload from now on.
    pub(super) fn accept(&mut self) {
        std::mem::swap(&mut self.now, &mut self.next);
        self.is_changed = true;
    }

    /// Gives the event the payload that it has now, if that is another than it came with.
    pub(super) fn put_into<'s>(&'s self, event: &mut Event<'s>) {
        if self.is_changed {
            event.data = Data::Json(&self.now);
        }
    }
}
