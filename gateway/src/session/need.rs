//! What events may come to in memory, going by what is seen of them before they are decoded: pure.

use std::sync::Arc;

use tidegate_wire::{Announced, Batch, Frame, Limits};

use crate::record::{Aggregation, CONTRIBUTION_BYTES, RECORD_OVERHEAD_BYTES, group_bytes};

/// What the gateway adds to an event at most: names and times in its record, the client's name in its key.
const STAMP_BYTES: u64 = 1_024;

/// What one frame may take of the budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Need {
    /// As it came.
    pub(super) came_bytes: usize,
    /// What it can be decoded to at most.
    pub(super) most_bytes: u64,
    /// Whether there are events in it that settle.
    pub(super) has_events: bool,
}

impl Need {
    /// Of a binary frame; `None` where nothing is kept of it until something settles. Lossy events are not waited for.
    #[inline]
    pub(super) fn of_frame(frame: &Frame<'_>, limits: &Limits) -> Option<Self> {
        let announced = Announced::of(frame, limits).filter(|announced| !announced.lossy)?;
        let Announced { count, records_most_bytes, .. } = announced;
        Some(Self {
            came_bytes: frame.body.len(),
            most_bytes: most(count, records_most_bytes, limits),
            has_events: count > 0,
        })
    }

    /// Of a text message: what it is shows when it is decoded.
    pub(super) fn of_text(bytes: usize, events_most: u32, limits: &Limits) -> Self {
        Self { came_bytes: bytes, most_bytes: most(events_most, bytes as u64, limits), has_events: true }
    }

    /// Of lossy events, which are decoded already.
    pub(super) fn of_lossy(batch: &Batch<'_>, came_bytes: usize, limits: &Limits) -> Self {
        let records_bytes = batch.payload_bytes.max(came_bytes as u64);
        Self { came_bytes, most_bytes: most(batch.count, records_bytes, limits), has_events: false }
    }
}

/// What the events of a request come to at least. Its body is held beside the budget, so that it can be looked at first.
pub(super) fn least(batch: &Batch<'_>, each_bytes: u64) -> u64 {
    batch.payload_bytes.saturating_add(each_bytes.saturating_mul(batch.count.into()))
}

/// What an event of a request is taken to come to beyond its payload: a record, or a group that it begins, by the rule of
/// `aggregations` that has the most values.
pub(super) fn each_bytes<'a>(aggregations: impl Iterator<Item = &'a Arc<Aggregation>>) -> u64 {
    let group = |rule: &Arc<Aggregation>| CONTRIBUTION_BYTES + group_bytes(0, rule.values.len());
    aggregations.map(group).fold(RECORD_OVERHEAD_BYTES, u64::max)
}

/// What `count` events in `records_bytes` come to at most, but for what escapes add: attributes may be a DEFINE's, and
/// data that is not JSON is written as base64.
fn most(count: u32, records_bytes: u64, limits: &Limits) -> u64 {
    let each = RECORD_OVERHEAD_BYTES + STAMP_BYTES + u64::from(limits.max_attributes_bytes);
    (records_bytes + records_bytes / 3).saturating_add(each * u64::from(count))
}

#[cfg(test)]
mod tests {
    use tidegate_wire::frame::kind;

    use super::*;
    use crate::session::budget::Account;

    fn need(body: &[u8]) -> Option<Need> {
        Need::of_frame(&Frame { kind: kind::EVENTS, body }, &Limits::default())
    }

    #[test]
    fn who_has_sent_a_bomb_is_not_taken_to_send_nothing_but_bombs() {
        let account = Account::default();
        // 1 KiB came to 4 MiB.
        account.learn(1 << 10, 4 << 20);
        let estimate =
            |body: &[u8]| need(body).map(|need| account.estimate(need.came_bytes, need.most_bytes));
        let plain = |bytes: usize| [&[0, 1, 1][..], &vec![b'x'; bytes]].concat();
        assert!(estimate(&plain(100)).unwrap() < 6 << 10, "one small event");
        assert!(estimate(&plain(300_000)).unwrap() < 410_000, "one large event");
        let another = [&[1, 1, 0x43, 0xe8][..], &vec![0; 500_000]].concat();
        assert!(estimate(&another).unwrap() < 12 << 20, "whatever it inflates to, {:?}", estimate(&another));
    }

    #[test]
    fn what_brings_no_events_that_settle_needs_nothing() {
        let limits = Limits::default();
        for kind in [kind::PING, kind::DEFINE, kind::REAUTH, kind::CLOSE, kind::IGNORED_FROM] {
            assert_eq!(Need::of_frame(&Frame { kind, body: &[0; 9] }, &limits), None);
        }
        assert_eq!(need(&[4, 1, 1, 0, 0]), None, "lossy");
        assert!(!need(&[0, 9, 0]).unwrap().has_events, "gives numbers up");
    }

    #[test]
    fn an_event_of_a_request_may_begin_a_group() {
        let rule = |count: usize| {
            Arc::new(Aggregation {
                route: "r".into(),
                kind: "t".into(),
                encoding: crate::record::Encoding::Structured,
                window_ms: 1,
                groups_max: 1,
                values: vec!["n".into(); count],
            })
        };
        assert_eq!(each_bytes([].iter()), 512);
        assert_eq!(each_bytes([rule(1), rule(16), rule(0)].iter()), 64 + 384 + 16 * 144);
    }
}
