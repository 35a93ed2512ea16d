//! How long rules take: their time is taken for the events of one frame in so many, so that taking it costs nothing.

use std::cell::Cell;
use std::time::Instant;

use crate::pipeline::{Did, Fault, Tally, Trace};

/// One frame in so many of a worker thread.
const EVERY: u32 = 256;

thread_local! {
    static FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// Whether this frame is one of those.
pub(super) fn is_due() -> bool {
    let frames = FRAMES.get();
    FRAMES.set(if frames + 1 == EVERY { 0 } else { frames + 1 });
    frames == 0
}

/// Adds to each rule how long it took.
#[derive(Debug)]
pub(super) struct Timed(Instant);

impl Timed {
    pub(super) fn new() -> Self {
        Self(super::now())
    }
}

impl Trace for Timed {
    fn condition(&mut self, _: usize, _: Result<bool, Fault>) {}

    fn begins(&mut self) {
        self.0 = super::now();
    }

    fn rule(&mut self, rule: &Tally, _: Did) {
        let now = super::now();
        rule.took(u64::try_from((now - self.0).as_nanos()).unwrap_or(u64::MAX));
        self.0 = now;
    }
}
