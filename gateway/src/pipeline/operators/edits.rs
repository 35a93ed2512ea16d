//! What operators that edit payloads have in common.

use tidegate_cel::edit::EditError;
use tidegate_cel::{Fault, Malformed};
use tidegate_wire::{Code, Reject};

use crate::config::OnError;
use crate::pipeline::look::twice;
use crate::pipeline::route::Judged;
use crate::pipeline::tally::{Tally, Verdict};

/// What becomes of an event at a rule that has, or would have, changed it, or cannot.
pub(super) fn verdict(is_changed: bool, fault: Option<Fault>, on_error: OnError, tally: &Tally) -> Verdict {
    match (fault, on_error) {
        (Some(_), OnError::Drop) if tally.is_shadow() => Verdict::WouldDrop,
        (Some(_), OnError::Drop) => Verdict::Dropped,
        _ if is_changed => Verdict::Changed,
        _ => Verdict::Kept,
    }
}

/// What the client is told of a payload that a rule has to edit and cannot.
pub(super) fn misshapen() -> Reject {
    let message = "`data` is not of the shape that is expected where it goes";
    Reject { code: Code::Schema, message: message.into() }
}

/// Why a payload cannot be edited, whatever rules say of faults.
pub(super) fn refusal(error: EditError, judged: Judged<'_>) -> Reject {
    match error {
        EditError::Malformed(Malformed::Duplicate(at)) => twice(at),
        EditError::Malformed(Malformed::Json(error)) => {
            Reject::malformed(format!("`data` is not JSON: {error}"))
        }
        EditError::TooLong => Reject::too_large(format!(
            "`data` has more than {} bytes after it was edited",
            judged.limits.max_event_bytes
        )),
    }
}
