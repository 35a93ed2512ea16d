//! What the tests of the sink share.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::ticket::{Settled, Settlement, Ticket};

/// Longer than anything here takes on a busy machine; only a failing test waits for it.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// The settlement, which must come.
#[track_caller]
pub(super) fn told(settled: &Receiver<Settlement>) -> Settlement {
    settled.recv_timeout(LONG).expect("the frame settles")
}

struct Owed(SyncSender<Settlement>);

impl Settled for Owed {
    fn settled(self: Box<Self>, frame: Settlement) {
        // Not every test waits for what becomes of its events.
        let _ = self.0.send(frame);
    }

    fn is_owed(&self) -> bool {
        true
    }
}

/// A ticket for `count` events that were acknowledged already, and where its settlement arrives.
pub(super) fn owed(count: u32) -> (Ticket, Receiver<Settlement>) {
    let (owner, settled) = sync_channel(2);
    (Ticket::new(count, Box::new(Owed(owner))), settled)
}
