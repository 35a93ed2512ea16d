//! From a frame's events to the destination: the one way that every carrier's events take.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use tidegate_wire::{Raw, Reason, Reject};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::core::Core;
use super::inflight::{Held, InFlight};
use crate::carrier::Carrier;
use crate::metrics::{Metrics, Stage};
use crate::pipeline::{Sender, Stamp};
use crate::record::Records;
use crate::ticket::Ticket;

/// What one record costs beyond its bytes in the destination's queue.
const RECORD_OVERHEAD_BYTES: u64 = 256;
/// What a worker keeps of its encoding buffer between frames.
const KEEP_BYTES: usize = 256 * 1024;
/// The budget is handed out in these units.
const UNIT_BYTES: u64 = 1_024;

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

/// The global budget for what is received and not settled.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    all: u32,
}

impl Budget {
    pub(super) fn new(bytes: u64, metrics: &Metrics) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).max(1);
        metrics.bytes_budget.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// A share for `bytes`, if there is one now. What is larger than everything takes everything.
    fn try_hold(&self, bytes: u64, metrics: &Arc<Metrics>) -> Option<Held> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(Held::new(metrics, bytes, permit))
    }

    /// A share for `bytes`, in turn. Cancel safe.
    async fn hold(&self, bytes: u64, metrics: &Arc<Metrics>) -> Option<Held> {
        let permit = Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes)).await.ok()?;
        Some(Held::new(metrics, bytes, permit))
    }

    /// A share for a packet while it is decoded, at once or in turn. It must be given back before the events' own
    /// share is waited for; as shares are given in turn, nobody decodes while somebody waits with what is decoded.
    /// Cancel safe.
    pub(super) async fn decoding(&self, packet_bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).acquire_many_owned(self.units_of(decoded_bytes(packet_bytes))).await.ok()
    }

    /// The same, if there is one now.
    pub(super) fn try_decoding(&self, packet_bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).try_acquire_many_owned(self.units_of(decoded_bytes(packet_bytes))).ok()
    }

    /// Whether `bytes` could be held now, going by what is free.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.units.available_permits() >= self.units_of(bytes) as usize
    }

    /// Resolves once nothing is held.
    pub(super) async fn settled(&self) {
        // Never closed, so it cannot fail.
        let _ = self.units.acquire_many(self.all).await;
    }

    fn units_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.all)
    }
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
    for raw in events.skip(repeated as usize) {
        match core.pipeline.run(&raw, index, sender, stamp, &mut records) {
            Ok(()) => inflight.going += 1,
            Err(reject) => inflight.reject(index, reject),
        }
        index += 1;
    }
    let encoded_at = super::now();
    let count = index - repeated;
    core.metrics.carrier(carrier).latency(Stage::Pipeline).observe(encoded_at - started_at, count);
    Prepared { records, inflight: Some(inflight), carrier, encoded_at }
}

impl Prepared {
    /// Hands over what there is room for now. What is left must be finished, or it is lost.
    pub(super) fn offer(self, core: &Core) -> Option<Rest> {
        if self.records.is_empty() {
            return Rest::begin(self, None).offer(core);
        }
        let bytes = cost_bytes(&self.records);
        let Some(held) = core.budget.try_hold(bytes, &core.metrics) else {
            return Some(Rest { prepared: self, ticket: None, taken: 0 });
        };
        Rest::begin(self, Some(held)).offer(core)
    }

    /// The events that the pipeline refused.
    pub(super) fn rejected(&self) -> Vec<(u32, Reject)> {
        self.inflight.as_ref().map(|inflight| inflight.rejected.clone()).unwrap_or_default()
    }

    /// Hands over what there is room for now, and drops the rest: for lossy events.
    pub(super) fn offer_or_drop(self, core: &Core) {
        let Some(mut rest) = self.offer(core) else { return };
        let left = count(&rest.prepared.records) - rest.taken_count();
        if rest.ticket.is_none() {
            rest = Rest::begin(rest.prepared, None);
        }
        if let Some(ticket) = &rest.ticket {
            ticket.dropped(left);
        }
        give_back(rest.prepared.records);
    }
}

/// Records that the destination, or the budget, had no room for yet.
#[must_use = "what is not finished is lost"]
pub(super) struct Rest {
    prepared: Prepared,
    /// There once the events have their share of the budget.
    ticket: Option<Ticket>,
    taken: usize,
}

impl Rest {
    /// Waits for a share of the budget and for room, and hands everything over. `stalled` hears what is
    /// waited for, and `Ok` once it is over.
    ///
    /// Not cancel safe: events not handed over are lost, and their numbering with them.
    pub(super) async fn finish(mut self, core: &Core, stalled: impl Fn(Reason)) {
        if self.ticket.is_none() {
            stalled(Reason::Memory);
            core.metrics.stalled(Reason::Memory);
            let held = core.budget.hold(cost_bytes(&self.prepared.records), &core.metrics).await;
            self = Self::begin(self.prepared, held);
        } else {
            core.metrics.stalled(core.why_full());
        }
        let mut left = self.offer(core);
        while let Some(rest) = left {
            stalled(core.why_full());
            core.sink.room().await;
            left = rest.offer(core);
        }
        stalled(Reason::Ok);
    }

    fn begin(mut prepared: Prepared, budget: Option<Held>) -> Self {
        let ticket = prepared.inflight.take().map(|mut inflight| {
            inflight.budget = budget;
            inflight.offered_at = Some(super::now());
            Ticket::new(inflight.going, inflight)
        });
        Self { prepared, ticket, taken: 0 }
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

/// What a packet may become while its events are found and encoded. Compressed ones may become more, one frame at a time.
fn decoded_bytes(packet_bytes: usize) -> u64 {
    2 * packet_bytes as u64
}

fn cost_bytes(records: &Records) -> u64 {
    records.size_bytes() as u64 + RECORD_OVERHEAD_BYTES * records.len() as u64
}

fn count(records: &Records) -> u32 {
    u32::try_from(records.len()).unwrap_or(u32::MAX)
}

fn give_back(mut records: Records) {
    records.reset(KEEP_BYTES);
    BUFFER.set(Some(records));
}
