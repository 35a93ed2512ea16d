//! What the tests of the sink share.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::record::{Encoding, Records, TopicId};
use crate::ticket::{Settled, Settlement, Ticket};

/// Longer than anything here takes on a busy machine; only a failing test waits for it.
pub(super) const LONG: Duration = Duration::from_secs(60);

struct Owner(SyncSender<Settlement>);

impl Settled for Owner {
    fn settled(self: Box<Self>, frame: Settlement) {
        // A test that has seen enough no longer listens.
        let _ = self.0.send(frame);
    }
}

/// A ticket for `count` events, and where its settlement arrives.
pub(super) fn ticket(count: u32) -> (Ticket, Receiver<Settlement>) {
    let (owner, settled) = sync_channel(1);
    (Ticket::new(count, Box::new(Owner(owner))), settled)
}

/// The settlement, which must come.
#[track_caller]
pub(super) fn told(settled: &Receiver<Settlement>) -> Settlement {
    settled.recv_timeout(LONG).expect("the frame settles")
}

/// Structured records of topic 0, one for each value, with indices from 0.
pub(super) fn records<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Records {
    let mut records = Records::default();
    for (index, value) in values.into_iter().enumerate() {
        let mut draft =
            records.draft(u32::try_from(index).unwrap(), TopicId(0), Encoding::Structured, 1_700_000_000_000);
        draft.key(|out| out.extend_from_slice(b"client"));
        draft.value(|out| out.extend_from_slice(value));
        draft.push();
    }
    records
}
