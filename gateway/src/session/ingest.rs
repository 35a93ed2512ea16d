//! From a frame's events to the destination: the one way that every carrier's events take.

use std::cell::Cell;
use std::time::Instant;

use tidegate_wire::{Raw, Reason, Reject};

use super::budget::Held;
use super::core::Core;
use super::inflight::InFlight;
use super::timed::{self, Timed};
use crate::carrier::Carrier;
use crate::metrics::Stage;
use crate::pipeline::{Sender, Stamp, Untold};
use crate::record::Records;
use crate::ticket::Ticket;

/// What a worker keeps of its encoding buffer between frames.
const KEEP_BYTES: usize = 256 * 1024;

thread_local! {
    /// One buffer a worker thread, not one a connection: idle clients hold none.
    static BUFFER: Cell<Option<Records>> = const { Cell::new(None) };
}

/// Events whose records are encoded and wait to be offered.
#[must_use = "what is not offered is lost"]
pub(super) struct Prepared {
    records: Records,
    /// Taken by the ticket once there is one.
    inflight: Option<Box<InFlight>>,
    carrier: Carrier,
    encoded_at: Instant,
}

/// Runs the pipeline over events numbered from 0, of which the first `repeated` are duplicates of old ones.
pub(super) fn prepare<'a>(
    core: &Core,
    carrier: Carrier,
    events: impl Iterator<Item = Raw<'a>>,
    repeated: u32,
    sender: Sender<'_>,
    stamp: &mut Stamp<'_>,
    mut inflight: Box<InFlight>,
) -> Prepared {
    let started_at = super::now();
    let mut records = BUFFER.take().unwrap_or_default();
    let mut index = repeated;
    let rules = core.pipeline.rules();
    let mut timed = timed::is_due().then(Timed::new);
    for raw in events.skip(repeated as usize) {
        let before = records.len();
        let ran = match &mut timed {
            None => rules.run(&raw, index, sender, stamp, &mut records, &mut Untold),
            Some(timed) => rules.run(&raw, index, sender, stamp, &mut records, timed),
        };
        match ran {
            Ok(()) => inflight.going += 1,
            Err(reject) if records.len() > before => inflight.bury(index, reject),
            Err(reject) => inflight.reject(index, reject),
        }
        index += 1;
    }
    inflight.fate = stamp.take_fate();
    let encoded_at = super::now();
    let count = index - repeated;
    core.metrics.carrier(carrier).latency(Stage::Pipeline).observe(encoded_at - started_at, count);
    Prepared { records, inflight: Some(inflight), carrier, encoded_at }
}

impl Prepared {
    /// Hands over what there is room for now; `held` becomes what the events cost until they have settled. What is left
    /// must be finished, or it is lost.
    pub(super) fn offer(mut self, core: &Core, mut held: Held) -> Option<Rest> {
        held.resize(self.most_bytes());
        let aggregated = self.records.contributions().len() > 0;
        let for_groups = aggregated.then(|| held.split(self.records.groups_most_bytes()));
        let ticket = self.inflight.take().map(|mut inflight| {
            inflight.budget = Some(held);
            inflight.offered_at = Some(super::now());
            inflight.waits_for_windows = aggregated;
            Ticket::new(inflight.going, inflight)
        });
        if let (Some(for_groups), Some(ticket)) = (for_groups, &ticket) {
            core.aggregates.add(core, &self.records, ticket, for_groups);
        }
        Rest { prepared: self, ticket, taken: 0 }.offer(core)
    }

    /// The events that the pipeline refused.
    pub(super) fn rejected(&self) -> Vec<(u32, Reject)> {
        self.inflight.as_ref().map(|inflight| inflight.refused()).unwrap_or_default()
    }

    /// What its records cost, and the groups that they may begin.
    pub(super) fn most_bytes(&self) -> u64 {
        self.records.cost_bytes() + self.records.groups_most_bytes()
    }

    /// Hands over what there is room for now, and drops the rest: for lossy events.
    pub(super) fn offer_or_drop(self, core: &Core, held: Held) {
        let Some(rest) = self.offer(core, held) else { return };
        if let Some(ticket) = &rest.ticket {
            ticket.dropped(count(&rest.prepared.records) - rest.taken_count());
        }
        give_back(rest.prepared.records);
    }
}

/// Records that the destination had no room for yet.
#[must_use = "what is not finished is lost"]
pub(super) struct Rest {
    prepared: Prepared,
    ticket: Option<Ticket>,
    taken: usize,
}

impl Rest {
    /// Waits for room, and hands everything over. `stalled` hears what is waited for, and `Ok` once it is over.
    ///
    /// Not cancel safe: events not handed over are lost, and their numbering with them.
    pub(super) async fn finish(self, core: &Core, stalled: impl Fn(Reason)) {
        core.metrics.stalled(core.why_full());
        let mut left = Some(self);
        while let Some(rest) = left {
            stalled(core.why_full());
            core.sink.room().await;
            left = rest.offer(core);
        }
        stalled(Reason::Ok);
    }

    fn offer(mut self, core: &Core) -> Option<Self> {
        if let Some(ticket) = &self.ticket {
            self.taken += core.sink.submit(&self.prepared.records, self.taken, ticket);
        }
        if self.taken < self.prepared.records.len() {
            return Some(self);
        }
        let Prepared { records, carrier, encoded_at, .. } = self.prepared;
        let waited = super::now() - encoded_at;
        core.metrics.carrier(carrier).latency(Stage::Queue).observe(waited, count(&records));
        give_back(records);
        None
    }

    fn taken_count(&self) -> u32 {
        u32::try_from(self.taken).unwrap_or(u32::MAX)
    }
}

fn count(records: &Records) -> u32 {
    u32::try_from(records.len()).unwrap_or(u32::MAX)
}

fn give_back(mut records: Records) {
    records.reset(KEEP_BYTES);
    BUFFER.set(Some(records));
}
