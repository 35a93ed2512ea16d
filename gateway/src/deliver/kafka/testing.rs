//! What the tests of the sink share.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::ticket::Settlement;

/// Longer than anything here takes on a busy machine; only a failing test waits for it.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// The settlement, which must come.
#[track_caller]
pub(super) fn told(settled: &Receiver<Settlement>) -> Settlement {
    settled.recv_timeout(LONG).expect("the frame settles")
}
