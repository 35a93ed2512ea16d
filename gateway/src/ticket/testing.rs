//! For tests: an owner of tickets that hands on what it is told.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Settled, Settlement, Ticket};

struct Owner(SyncSender<Settlement>);

impl Settled for Owner {
    fn settled(self: Box<Self>, frame: Settlement) {
        // Not every test waits for what becomes of its events.
        let _ = self.0.send(frame);
    }
}

/// A ticket for `count` events, and where its settlement arrives.
pub(crate) fn ticket(count: u32) -> (Ticket, Receiver<Settlement>) {
    // Room for a second settlement, which would be a fault and is not to go unseen.
    let (owner, settled) = sync_channel(2);
    (Ticket::new(count, Box::new(Owner(owner))), settled)
}
