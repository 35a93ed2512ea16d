//! What a session does with each frame of its client.

mod events;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_wire::{Aliases, ClientFrame, CloseCode, Frames, Reason, Report, Violation};
use tokio_util::sync::CancellationToken;

use self::events::Row;
use super::budget::Held;
use super::connection::End;
use super::core::Core;
use super::hello::{self, Opened, Session};
use super::hold::Connection;
use super::idle::Idle;
use super::need::Need;
use super::numbering::Used;
use super::orders::{Order, Orders};
use crate::access::Grant;
use crate::carrier::Carrier;
use crate::listen::link::{Coding, LinkError, LinkReader, Packet, Peer};
use crate::metrics::Stage;
use crate::rates::Meter;

/// Events that are taken before other tasks have their turn: about half a millisecond's work.
const EVENTS_AT_ONCE: u32 = 256;
/// What a frame counts for at least.
const FRAME_AS_EVENTS: u32 = 16;

/// The reading half of a session.
pub(super) struct Reader<'a, R> {
    core: &'a Arc<Core>,
    incoming: R,
    peer: &'a Peer,
    session: Arc<Session>,
    /// Of HELLO; REAUTH must be for the same.
    client: Option<Arc<str>>,
    grant: Arc<Grant>,
    meter: Meter,
    /// Until when the rates hold credit back, so that this is counted once each time.
    held_until: Option<Instant>,
    aliases: Aliases,
    orders: &'a Orders,
    gone: CancellationToken,
    /// The share of the budget that the next frame's events are decoded and encoded into.
    share: Option<Held>,
    /// Of the frame that is being taken, as it came.
    frame_bytes: usize,
    /// Events taken since other tasks had their turn.
    events_at_once: u32,
    /// Whether the client has used up its credit, so that this is counted once each time.
    is_used_up: bool,
}

impl<'a, R: LinkReader> Reader<'a, R> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        incoming: R,
        peer: &'a Peer,
        opened: &Opened,
        orders: &'a Orders,
        gone: CancellationToken,
    ) -> Self {
        Self {
            core,
            incoming,
            peer,
            session: Arc::clone(&opened.session),
            client: opened.key.as_ref().map(|key| Arc::clone(&key.client)),
            grant: Arc::clone(&opened.grant),
            meter: opened.meter.clone(),
            held_until: opened.held_until,
            aliases: Aliases::default(),
            orders,
            gone,
            share: None,
            frame_bytes: 0,
            events_at_once: 0,
            is_used_up: false,
        }
    }

    /// Reads until there is a reason to end.
    pub(super) async fn read(mut self) -> End {
        let core = Arc::clone(self.core);
        let session = Arc::clone(&self.session);
        let gone = self.gone.clone();
        // One future for the whole session: it is not registered anew for every packet.
        let mut ended = pin!(ended(&core, &gone, &session.connection));
        let mut idle = pin!(Idle::new(core.limits.idle_ms));
        loop {
            let packet = tokio::select! {
                biased;
                // First, or a client that always has something to say would never be ended.
                end = &mut ended => return end,
                packet = self.incoming.next() => packet,
                end = &mut idle => return end,
            };
            idle.heard();
            let packet = match self.arrived(packet) {
                Ok(packet) => packet,
                Err(end) => return end,
            };
            let taken = self.take(packet).await;
            self.share = None;
            match taken {
                Ok(()) => {}
                Err(Stop::End(end)) => return end,
                Err(Stop::Ended) => return ended.await,
            }
            tokio::select! {
                biased;
                () = self.credit(false) => {}
                end = &mut ended => return end,
            }
            idle.heard();
        }
    }

    fn arrived(&self, packet: Result<Option<Packet>, LinkError>) -> Result<Packet, End> {
        match packet {
            Ok(Some(packet)) => Ok(packet),
            // A WebSocket that was closed takes no last ACK; a stream that was finished does.
            Ok(None) if self.peer.carrier == Carrier::WebSocket => Err(End::Gone),
            Ok(None) => Err(End::Done),
            Err(LinkError::Violation(violation)) => Err(End::close(violation.code, violation.message)),
            Err(LinkError::Io(_)) => Err(End::Gone),
        }
    }

    async fn take(&mut self, packet: Packet) -> Result<(), Stop> {
        let received_at = super::now();
        match (packet, self.peer.coding) {
            (Packet::Frames(bytes), Coding::Binary) => self.frames(&bytes, received_at).await,
            (Packet::Text(text), Coding::Json) => {
                let text = std::str::from_utf8(&text)
                    .map_err(|_| violated(Violation::bad_frame("a text message must be UTF-8")))?;
                let limits = *self.core.pipeline.limits();
                self.room(Need::of_text(text.len(), limits.max_batch_events, &limits)).await?;
                let frame = ClientFrame::from_json(text, &limits).map_err(violated)?;
                self.frame(frame, received_at, received_at).await?;
                self.give_way().await;
                Ok(())
            }
            (Packet::Text(text), Coding::CloudEvents) => {
                self.room(Need::of_text(text.len(), 1, self.core.pipeline.limits())).await?;
                self.event(&text, received_at).await?;
                self.events_at_once += FRAME_AS_EVENTS;
                self.give_way().await;
                Ok(())
            }
            (Packet::Datagram(bytes), _) => {
                self.datagram(&bytes, received_at);
                Ok(())
            }
            _ => Err(violated(Violation::bad_frame("this message does not belong to the session's coding"))),
        }
    }

    async fn frames(&mut self, bytes: &Bytes, received_at: Instant) -> Result<(), Stop> {
        let core = Arc::clone(self.core);
        let limits = core.pipeline.limits();
        let mut began_at = received_at;
        for (position, frame) in Frames::new(bytes, limits).enumerate() {
            let frame = frame.map_err(violated)?;
            self.share = None;
            if position > 0 {
                self.between().await?;
            }
            if let Some(need) = Need::of_frame(&frame, limits) {
                self.room(need).await?;
            }
            self.frame_bytes = frame.body.len();
            let frame = ClientFrame::from_binary(frame, limits).map_err(violated)?;
            self.frame(frame, received_at, began_at).await?;
            self.give_way().await;
            began_at = super::now();
        }
        Ok(())
    }

    /// Lets other tasks have their turn: who always has something to say would keep them waiting for long, since nothing
    /// here waits while there is room.
    async fn give_way(&mut self) {
        if self.events_at_once >= EVENTS_AT_ONCE {
            self.events_at_once = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Between the frames of one packet: what [`Reader::read`] looks at between packets.
    async fn between(&mut self) -> Result<(), Stop> {
        if self.session.numbering.credit_used().over || self.core.closing.is_cancelled() {
            Box::pin(self.halt(None)).await?;
        }
        Ok(())
    }

    /// Takes a share of the budget for the frame that comes next, before anything of it is decoded: nobody waits with
    /// what is decoded. Nor is it taken while the rates have left the client no credit at all: who comes again while it
    /// owes does not get a frame through for it.
    ///
    /// Nor while schemas are waited for: what is inflated could come to more than the share, and a share that waits is
    /// one that nobody else has. A JSON message may be a PING, though, and is no more than it came as.
    async fn room(&mut self, need: Need) -> Result<(), Stop> {
        if need.has_events && self.peer.coding != Coding::Json && self.core.pipeline.is_awaiting() {
            Box::pin(self.schemas()).await?;
        }
        self.frame_bytes = need.came_bytes;
        let Session { numbering, connection } = &*self.session;
        let is_barred =
            need.has_events && connection.held_back().is_some() && numbering.credit_used().is_barred;
        if !is_barred {
            let account = &numbering.account;
            let bytes = account.estimate(need.came_bytes, need.most_bytes);
            self.share = self.core.budget.try_hold(account, bytes);
            if self.share.is_some() {
                return Ok(());
            }
        }
        // Waits are boxed: they are rare, and an idle session should not hold the room for all of them.
        Box::pin(self.halt(Some(need))).await
    }

    /// Waits for credit, and for a share of the budget for the frame that comes next, unless the session ends first.
    async fn halt(&mut self, next: Option<Need>) -> Result<(), Stop> {
        let (core, session, gone) = (Arc::clone(self.core), Arc::clone(&self.session), self.gone.clone());
        tokio::select! {
            biased;
            _ = ended(&core, &gone, &session.connection) => Err(Stop::Ended),
            () = async {
                self.credit(next.is_some_and(|need| need.has_events)).await;
                if let Some(need) = next {
                    self.memory(need).await;
                }
            } => Ok(()),
        }
    }

    async fn memory(&mut self, need: Need) {
        let Session { numbering, connection } = &*self.session;
        let (budget, account) = (&self.core.budget, &numbering.account);
        let bytes = account.estimate(need.came_bytes, need.most_bytes);
        self.share = budget.try_hold(account, bytes);
        if self.share.is_none() {
            connection.stall(Reason::Memory);
            // What it holds itself may be what there is too little of.
            self.core.aggregates.release(account, Duration::ZERO);
            self.core.metrics.stalled(Reason::Memory);
            self.share = budget.hold(account, bytes).await;
            connection.stall(Reason::Ok);
        }
    }

    async fn frame(
        &mut self,
        frame: ClientFrame<'_>,
        received_at: Instant,
        began_at: Instant,
    ) -> Result<(), Stop> {
        self.events_at_once += FRAME_AS_EVENTS;
        match frame {
            ClientFrame::Events(batch) => {
                self.events_at_once += batch.count;
                let decode = super::now() - began_at;
                self.core
                    .metrics
                    .carrier(self.peer.carrier)
                    .latency(Stage::Decode)
                    .observe(decode, batch.count);
                if batch.lossy {
                    self.lossy(&batch, self.peer.carrier, received_at);
                    return Ok(());
                }
                self.numbered(Row::of(&batch, received_at), batch.iter()).await
            }
            ClientFrame::Define(define) => {
                self.aliases.define(&define, self.core.pipeline.limits()).map_err(violated)
            }
            ClientFrame::Ping(ping) => {
                // The writer takes it, or has gone, which the next read will notice.
                self.orders.give(Order::Pong(ping)).await;
                Ok(())
            }
            ClientFrame::Close(close) if close.code == CloseCode::Done => Err(Stop::End(End::Done)),
            ClientFrame::Close(_) => Err(Stop::End(End::Gone)),
            ClientFrame::Report(report) => {
                self.report(&report);
                Ok(())
            }
            ClientFrame::Reauth(reauth) => self.reauthorise(&reauth.token),
            ClientFrame::Pong(_) | ClientFrame::Ignored => Ok(()),
            ClientFrame::Hello(_) => Err(violated(Violation::bad_frame("a second HELLO: a session has one"))),
        }
    }

    fn report(&self, report: &Report) {
        self.core.metrics.clients.take(report);
    }

    fn reauthorise(&mut self, token: &str) -> Result<(), Stop> {
        let denied = |message: String| Stop::End(End::close(CloseCode::Auth, message));
        let grant = self.core.access.authenticate(Some(token)).map_err(|cause| denied(cause.message))?;
        let covers =
            self.client.as_ref().map_or(grant.allows_anonymous(), |client| grant.allows_client(client));
        if grant.tenant != self.grant.tenant || !covers {
            return Err(denied("REAUTH must be for the same tenant and client".to_owned()));
        }
        if grant.token != self.grant.token {
            let connection = &self.session.connection;
            let (meter, held_until) =
                hello::with_token(self.core, &self.meter, grant.token.as_deref(), connection);
            self.meter = meter;
            self.held_until = held_until.or(self.held_until);
        }
        self.grant = grant;
        Ok(())
    }

    /// Waits while the client is beyond its credit, or, with events that come next, has none while the rates hold it
    /// back: nothing more of it is read meanwhile.
    async fn credit(&mut self, with_events: bool) {
        let Session { numbering, connection } = &*self.session;
        let mut used = numbering.credit_used();
        if used.up && !self.is_used_up {
            let reason = match self.core.reason() {
                Reason::Ok if used.is_cut => Reason::Memory,
                reason => reason,
            };
            self.core.metrics.stalled(reason);
        }
        self.is_used_up = used.up;
        let must_wait = |used: Used| used.over || with_events && used.is_barred;
        if !must_wait(used) {
            return;
        }
        connection.pause(true);
        while must_wait(used) {
            connection.renewed().await;
            used = numbering.credit_used();
        }
        connection.pause(false);
    }
}

/// Why a frame was not taken.
enum Stop {
    /// The connection ends for what the client sent.
    End(End),
    /// The connection ends for what others have decided meanwhile.
    Ended,
}

/// Resolves when the connection must end whatever its client does.
async fn ended(core: &Core, gone: &CancellationToken, connection: &Connection) -> End {
    tokio::select! {
        () = gone.cancelled() => End::Gone,
        () = connection.taken_over.cancelled() => {
            End::close(CloseCode::TakenOver, "a newer connection of this client has taken over")
        }
        () = connection.broken.cancelled() => {
            End::close(CloseCode::Internal, "events were lost before they were durable: resend what is not acknowledged")
        }
        () = connection.drained.cancelled() => End::close(CloseCode::Drain, "this gateway is shutting down"),
        () = core.closing.cancelled() => End::close(CloseCode::Drain, "this gateway is shutting down"),
    }
}

fn violated(violation: Violation) -> Stop {
    Stop::End(End::close(violation.code, violation.message))
}
