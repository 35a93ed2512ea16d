//! `expire`: events that are too old.

use tidegate_wire::{Code, Reject};

use crate::config::{Expire as Written, OnError};
use crate::pipeline::look::Sight;
use crate::pipeline::tally::{Did, Operator, Tally, Verdict};
use crate::pipeline::trace::{Cost, Step};

/// See the module.
#[derive(Debug)]
pub(super) struct Expire {
    after_ms: i64,
    pub(super) tally: Tally,
    written: Written,
}

impl Expire {
    pub(super) fn new(written: &Written) -> Self {
        Self {
            after_ms: i64::try_from(written.after.0.as_millis()).unwrap_or(i64::MAX),
            tally: Tally::new(Operator::Expire, None, 0, written.shadow),
            written: written.clone(),
        }
    }

    /// Goes on counting where `before` is, if that is the same rule.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.written == before.written {
            self.tally.succeed(&before.tally);
        }
    }

    /// Whether an event goes on; one without a `time` of its own is as old as its arrival.
    pub(super) fn judge(&self, sight: &Sight<'_, '_>) -> Did {
        self.tally.judge(Ok(self.is_over(sight.event.time_ms(), sight.now_ms)), OnError::Keep)
    }

    fn is_over(&self, time_ms: Option<i64>, now_ms: u64) -> bool {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        time_ms.is_some_and(|time_ms| time_ms.saturating_add(self.after_ms) < now_ms)
    }

    /// Ends an event that does not go on, and says why.
    pub(super) fn or_refuse(&self, did: Did) -> Result<(), Reject> {
        if did.verdict != Verdict::Dropped {
            return Ok(());
        }
        let message = format!("its `time` is more than {} ago", self.written.after).into();
        Err(Reject { code: Code::Expired, message })
    }

    pub(super) fn step(&self) -> Step {
        Step {
            operator: Operator::Expire,
            name: self.tally.name().to_owned(),
            is_shadow: self.tally.is_shadow(),
            cost: Cost::default(),
            does: format!("drops what happened more than {} ago", self.written.after),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Age;

    #[test]
    fn an_event_expires_after_its_time_and_not_at_it() {
        const NOW_MS: u64 = 1_790_000_000_000;
        let after = Age(Duration::from_secs(60));
        let expire = Expire::new(&Written { after, shadow: false });
        let ago = |ms: i64| Some(1_790_000_000_000 - ms);
        for (time_ms, expected) in [
            (ago(0), false),
            (ago(60_000), false),
            (ago(60_001), true),
            (ago(-1_000_000), false),
            (Some(-5), true),
            (Some(i64::MIN), true),
            (Some(i64::MAX), false),
            (None, false),
        ] {
            assert_eq!(expire.is_over(time_ms, NOW_MS), expected, "{time_ms:?}");
        }
    }
}
