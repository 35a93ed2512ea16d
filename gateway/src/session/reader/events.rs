//! What a session does with events: admitted to their numbering, and handed over to the destination.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_wire::{Batch, CloseCode, Raw, Reason, datagram};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::{Reader, Stop, ended};
use crate::carrier::Carrier;
use crate::listen::link::LinkReader;
use crate::metrics::Surface;
use crate::outcome::Outcome;
use crate::pipeline::{Ids, Sender, Stamp};
use crate::session::budget::Supply;
use crate::session::connection::End;
use crate::session::hello::Session;
use crate::session::inflight::{InFlight, Numbers, Waiting};
use crate::session::ingest::{Rest, prepare};
use crate::session::need::Need;
use crate::session::wall_ms;

/// How often it is looked whether schemas are known that are waited for.
const SCHEMAS_EVERY: Duration = Duration::from_millis(50);

/// Events in a row, as they came.
#[derive(Clone, Copy)]
pub(super) struct Row {
    first_seq: u64,
    count: u32,
    /// Of their payloads.
    bytes: u64,
    received_at: Instant,
}

impl Row {
    pub(super) fn of(batch: &Batch<'_>, received_at: Instant) -> Self {
        let Batch { first_seq, count, payload_bytes: bytes, .. } = *batch;
        Self { first_seq, count, bytes, received_at }
    }
}

impl<R: LinkReader> Reader<'_, R> {
    /// Events with numbers: they settle, and the client hears of it.
    pub(super) async fn numbered<'b>(
        &mut self,
        row: Row,
        events: impl Iterator<Item = Raw<'b>>,
    ) -> Result<(), Stop> {
        if self.session.connection.overstays.load(Ordering::Relaxed) {
            let message =
                "this gateway is shutting down, and this event came long after GOAWAY: it was not taken";
            return Err(Stop::End(End::close(CloseCode::Drain, message)));
        }
        // Mostly they are waited for before anything is decoded: see `Reader::room`.
        if self.core.pipeline.is_awaiting() {
            Box::pin(self.schemas()).await?;
        }
        let turn = match self.session.numbering.try_turn() {
            Some(turn) => turn,
            // Waits are boxed: they are rare, and an idle session should not hold the room for all of them.
            None => Box::pin(self.turn()).await?,
        };
        let rest = self.offer(row, events)?;
        self.charge(row);
        let Session { numbering, .. } = &*self.session;
        if numbering.account.is_in_window() && numbering.is_pressed() {
            self.core.aggregates.release(&numbering.account, Duration::ZERO);
        }
        match rest {
            None => Ok(()),
            Some(rest) => Box::pin(self.finish(rest, turn)).await,
        }
    }

    /// Hands over what there is room for now, and returns the rest.
    fn offer<'b>(&mut self, row: Row, events: impl Iterator<Item = Raw<'b>>) -> Result<Option<Rest>, Stop> {
        let Row { first_seq, count, bytes, received_at } = row;
        let Session { numbering, connection } = &*self.session;
        let Some(admission) = numbering.admit(connection, first_seq, count, bytes) else {
            return Err(Stop::Ended);
        };
        let series = self.core.metrics.carrier(self.peer.carrier);
        series.came(count);
        series.ended(Outcome::DuplicateNumber, admission.repeated);
        series.abandoned.inc_by(admission.abandoned);
        let Some(frame) = admission.frame else {
            connection.acknowledge_again();
            return Ok(None);
        };
        let names = &numbering.names;
        let waiting = Waiting::Numbers(Numbers {
            numbering: Arc::clone(numbering),
            connection: Arc::clone(connection),
            frame,
            first_seq,
            bytes,
            refused: None,
        });
        let inflight = Box::new(InFlight::new(&self.core.metrics, self.peer.carrier, received_at, waiting));
        let ids = Ids::Numbered { prefix: &names.id_prefix, first_seq };
        let mut stamp = Stamp::new(wall_ms(), &names.source, Some(&names.key), ids).of(numbering.origin);
        let sender = Sender { grant: &self.grant, aliases: &self.aliases };
        let prepared =
            prepare(self.core, self.peer.carrier, events, admission.repeated, sender, &mut stamp, inflight);
        let account = &numbering.account;
        account.learn(self.frame_bytes as u64, prepared.most_bytes());
        let share = self.share.take().unwrap_or_else(|| self.core.budget.nothing(account));
        Ok(prepared.offer(self.core, share))
    }

    /// Takes events from the rates, and has credit held back for as long as that is more than there was.
    fn charge(&mut self, row: Row) {
        let Row { count, bytes, received_at: now, .. } = row;
        let Some(wait) = self.meter.charge(count.into(), bytes, now) else { return };
        self.session.connection.hold_back(wait.reason(), wait.until);
        if self.held_until.replace(wait.until).is_none_or(|until| until <= now) {
            self.core.metrics.rates.limited(wait.limit.label());
            self.core.metrics.stalled(wait.reason());
        }
    }

    /// Hands over the rest of a frame as there is room for it.
    async fn finish(&mut self, rest: Rest, turn: OwnedMutexGuard<()>) -> Result<(), Stop> {
        let (core, stalled) = (Arc::clone(self.core), Arc::clone(&self.session.connection));
        let mut finishing = Box::pin(async move {
            rest.finish(&core, |reason| stalled.stall(reason)).await;
            drop(turn);
        });
        tokio::select! {
            () = &mut finishing => Ok(()),
            // Its numbers count as received, so the frame is finished all the same, and the connection ends now.
            () = self.session.connection.taken_over.cancelled() => {
                tokio::spawn(finishing);
                Err(Stop::Ended)
            }
            // Only the end of the drain gives them up.
            () = self.core.closing.cancelled() => Err(Stop::Ended),
        }
    }

    /// Waits until the schemas are known without which nothing may be taken.
    pub(super) async fn schemas(&mut self) -> Result<(), Stop> {
        let session = &self.session;
        self.core.metrics.stalled(Reason::Broker);
        session.connection.stall(Reason::Broker);
        let known = async {
            while self.core.pipeline.is_awaiting() {
                tokio::time::sleep(SCHEMAS_EVERY).await;
            }
        };
        let known = tokio::select! {
            () = known => Ok(()),
            _ = ended(self.core, &self.gone, &session.connection) => Err(Stop::Ended),
        };
        session.connection.stall(Reason::Ok);
        known
    }

    /// Waits until what older connections brought of this numbering has been handed over.
    async fn turn(&mut self) -> Result<OwnedMutexGuard<()>, Stop> {
        let session = &self.session;
        session.connection.stall(self.core.why_full());
        let turn = tokio::select! {
            turn = session.numbering.turn() => Ok(turn),
            _ = ended(self.core, &self.gone, &session.connection) => Err(Stop::Ended),
        };
        session.connection.stall(Reason::Ok);
        turn
    }

    /// One event of a session without frames: numbered here, settled, and not acknowledged.
    pub(super) async fn event(&mut self, text: &[u8], received_at: Instant) -> Result<(), Stop> {
        let next = self.session.numbering.received() + 1;
        let event = std::iter::once(Raw::Structured(text));
        let row = Row { first_seq: next, count: 1, bytes: text.len() as u64, received_at };
        self.numbered(row, event).await
    }

    pub(super) fn datagram(&mut self, bytes: &Bytes, received_at: Instant) {
        let core = Arc::clone(self.core);
        match datagram(bytes, core.pipeline.limits()) {
            Ok(batch) => {
                self.frame_bytes = bytes.len();
                self.lossy(&batch, Carrier::Datagram, received_at);
            }
            Err(violation) => core.metrics.refused(Surface::Datagram, violation.code.name()),
        }
    }

    /// Events that nobody waits for: taken if there is room now, for them and a good deal more.
    pub(super) fn lossy(&mut self, batch: &Batch<'_>, carrier: Carrier, received_at: Instant) {
        let core = self.core;
        let series = core.metrics.carrier(carrier);
        series.came(batch.count);
        if core.pipeline.is_awaiting() {
            return series.ended(Outcome::LossyDropped, batch.count);
        }
        if let Err(limit) = self.meter.spare(batch.count.into(), batch.payload_bytes, received_at) {
            core.metrics.rates.limited(limit.label());
            return series.ended(Outcome::LossyDropped, batch.count);
        }
        let account = &self.session.numbering.account;
        let need = Need::of_lossy(batch, self.frame_bytes, core.pipeline.limits());
        let estimate = account.estimate(need.came_bytes, need.most_bytes);
        let share = self.share.take().or_else(|| core.budget.try_hold(account, estimate));
        let Some(share) = share.filter(|_| core.budget.supply() == Supply::Ample) else {
            series.ended(Outcome::LossyDropped, batch.count);
            return;
        };
        let names = &self.session.numbering.names;
        let ids = Ids::Unnumbered(Uuid::now_v7());
        let mut stamp = Stamp::new(wall_ms(), &names.source, Some(&names.key), ids);
        let sender = Sender { grant: &self.grant, aliases: &self.aliases };
        let inflight = Box::new(InFlight::new(&core.metrics, carrier, received_at, Waiting::Nobody));
        prepare(core, carrier, batch.iter(), 0, sender, &mut stamp, inflight).offer_or_drop(core, share);
    }
}
