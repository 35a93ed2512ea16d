//! What a session tells its client, and when: acknowledgements, signs of life, farewells.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_wire::{Ack, Close, CloseCode, GatewayFrame, Goaway, Ping, Reason, Welcome, limits};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::aggregates::ANSWER_PATIENCE;
use super::connection::End;
use super::core::Core;
use super::hello::Session;
use super::numbering::Standing;
use super::orders::{Order, Orders};
use super::window::Refusal;
use crate::listen::link::{Coding, LinkWriter};

/// A client that is not being read hears from us this often, so that it does not take us for dead.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// After GOAWAY, how long what is already under way from the client is waited for.
const LAST_EVENTS: Duration = Duration::from_millis(250);
/// Of the drain's time that everybody has after GOAWAY, the part after which a client that still sends has not heeded its GOAWAY.
const OVERSTAY_DIVISOR: u32 = 4;
/// Far enough for a timer that waits for nothing.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The writing half of a session.
pub(super) struct Writer<'a, W> {
    core: &'a Core,
    outgoing: W,
    coding: Coding,
    session: Arc<Session>,
    /// Cancelled when nothing can be written any more.
    gone: CancellationToken,
    reason: watch::Receiver<Reason>,
    buffer: Vec<u8>,
    times: Times,
    told_reason: Reason,
    /// When what holds the credit back ends, as the client was told.
    told_until: Option<Instant>,
}

/// When what is due.
struct Times {
    ping_every: Duration,
    ping_at: Instant,
    /// When the client last heard from us.
    spoke_at: Instant,
    /// When the first settlement that is not acknowledged was seen.
    unsent_since: Option<Instant>,
    /// When GOAWAY is due, once the gateway drains.
    leave_at: Option<Instant>,
    /// When it was sent.
    goaway_at: Option<Instant>,
}

/// The client cannot be written to.
struct Unwritable;

impl<'a, W: LinkWriter> Writer<'a, W> {
    pub(super) fn new(
        core: &'a Core,
        outgoing: W,
        coding: Coding,
        session: Arc<Session>,
        gone: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        let ping_every = Duration::from_millis(u64::from(core.limits.ping_ms));
        let times = Times {
            ping_every,
            ping_at: now + ping_every,
            spoke_at: now,
            unsent_since: None,
            leave_at: None,
            goaway_at: None,
        };
        let reason = core.reason.clone();
        Self {
            core,
            outgoing,
            coding,
            session,
            gone,
            reason,
            buffer: Vec::new(),
            times,
            told_reason: Reason::Ok,
            told_until: None,
        }
    }

    /// Writes until the reading half finishes, or the client cannot be written to.
    pub(super) async fn write(mut self, welcome: Option<Box<Welcome>>, orders: &Orders) {
        let end = match self.converse(welcome, orders).await {
            Ok(end) => end,
            Err(Unwritable) => {
                orders.close();
                self.gone.cancel();
                return;
            }
        };
        self.finish(end).await;
    }

    async fn converse(&mut self, welcome: Option<Box<Welcome>>, orders: &Orders) -> Result<End, Unwritable> {
        if let Some(welcome) = welcome {
            self.send(&GatewayFrame::Welcome(welcome)).await?;
        }
        let session = Arc::clone(&self.session);
        let core = self.core;
        let mut timer: Pin<Box<Sleep>> = Box::pin(sleep_until(self.times.ping_at));
        loop {
            let due_at = self.due_at();
            if timer.deadline() != due_at {
                timer.as_mut().reset(due_at);
            }
            tokio::select! {
                biased;
                () = core.draining.cancelled(), if self.times.leave_at.is_none() => {
                    self.times.leave_at = Some(Instant::now() + core.until_goaway());
                }
                order = orders.take() => match order {
                    Order::Pong(ping) => self.send(&GatewayFrame::Pong(ping)).await?,
                    Order::Finish(end) => return Ok(end),
                },
                () = session.connection.settled.notified() => {}
                Ok(()) = self.reason.changed() => {}
                () = &mut timer => {}
            }
            if self.times.is_goaway_due() {
                self.goaway().await?;
            }
            self.speak().await?;
        }
    }

    /// Says what is due now.
    async fn speak(&mut self) -> Result<(), Unwritable> {
        let now = Instant::now();
        let taken_over = self.session.connection.taken_over.is_cancelled();
        if self.coding == Coding::CloudEvents || taken_over {
            self.say_nothing(now, taken_over);
            return Ok(());
        }
        let standing = self.session.numbering.standing();
        let Standing { untold, in_flight, .. } = standing;
        if untold == 0 {
            self.times.unsent_since = None;
        } else if self.times.unsent_since.is_none() {
            self.times.unsent_since = Some(now);
        }
        let again = self.session.connection.take_repeat_ack();
        let is_told_wrong =
            self.reason(standing).0 != self.told_reason || self.told_until.is_some_and(|until| now >= until);
        if again
            || is_told_wrong
            || self.times.is_ack_due(untold, in_flight, now)
            || self.is_heartbeat_due(now)
        {
            self.acknowledge().await?;
        }
        if now >= self.times.ping_at {
            self.times.ping_at = now + self.times.ping_every;
            self.send(&GatewayFrame::Ping(Ping::default())).await?;
        }
        if self.times.goaway_at.is_some() {
            // Asked again: what was untold is told by now, and a client that goes on sending is between two events.
            let Standing { untold, in_flight, .. } = self.session.numbering.standing();
            self.notice_drained(untold, in_flight);
        }
        Ok(())
    }

    /// For a session without frames, and for one whose numbers are another connection's to tell: forgets what it would
    /// have told, and moves the timers on.
    fn say_nothing(&mut self, now: Instant, taken_over: bool) {
        let Session { numbering, connection } = &*self.session;
        if !taken_over {
            while numbering.take_settled(connection).is_some_and(|(settled, _)| settled.more) {}
            self.notice_drained(0, numbering.in_flight());
        }
        self.times.unsent_since = None;
        self.times.spoke_at = now;
        self.times.ping_at = self.times.ping_at.max(now + self.times.ping_every);
    }

    /// Sends ACKs until everything settled has been told.
    async fn acknowledge(&mut self) -> Result<(), Unwritable> {
        loop {
            let Session { numbering, connection } = &*self.session;
            let Some((settled, limit)) = numbering.take_settled(connection) else { return Ok(()) };
            let (reason, until) = self.reason(numbering.standing());
            (self.told_reason, self.told_until) = (reason, until);
            self.times.unsent_since = None;
            let ack = Ack {
                upto: settled.upto,
                level: settled.level.unwrap_or_else(|| self.core.sink.level()),
                limit: limit.seq,
                limit_bytes: limit.bytes,
                reason,
                retry_ms: until.map_or(0, ms_until),
                list: settled.refusals.into_iter().map(Refusal::into_wire).collect(),
            };
            self.send(&GatewayFrame::Ack(ack)).await?;
            if !settled.more {
                return Ok(());
            }
        }
    }

    async fn goaway(&mut self) -> Result<(), Unwritable> {
        self.times.goaway_at = Some(Instant::now());
        let shutdown = &self.core.shutdown;
        self.send(&GatewayFrame::Goaway(Goaway {
            after_ms: u64::from(shutdown.reconnect_after_ms),
            jitter_ms: u64::from(shutdown.reconnect_jitter_ms),
            url: None,
        }))
        .await
    }

    /// After GOAWAY, ends the connection of a client of which nothing is unsettled or untold, and after a while has no
    /// more events read of one that goes on sending.
    fn notice_drained(&self, untold: u64, in_flight: u64) {
        let Some(waited) = self.times.goaway_at.map(|at| at.elapsed()) else { return };
        let connection = &self.session.connection;
        if waited >= LAST_EVENTS && untold == 0 && in_flight == 0 {
            connection.drained.cancel();
        }
        if waited >= self.overstay() {
            connection.overstays.store(true, Ordering::Relaxed);
        }
    }

    /// How long after GOAWAY events are taken.
    fn overstay(&self) -> Duration {
        Duration::from_millis(u64::from(self.core.shutdown.settle_ms())) / OVERSTAY_DIVISOR
    }

    /// Takes leave as `end` says.
    async fn finish(mut self, end: End) {
        let close = match end {
            End::Gone => return self.outgoing.close(CloseCode::Done, "").await,
            End::Done => {
                self.settle().await;
                Close::new(CloseCode::Done)
            }
            End::Close(close) => {
                if close.code == CloseCode::Drain {
                    self.settle().await;
                }
                close
            }
        };
        // What has settled is told first, unless it is another connection's to tell. Errors end it all the same.
        let _ = self.acknowledge_rest(close.code).await;
        let _ = self.send(&GatewayFrame::Close(close.clone())).await;
        self.outgoing.close(close.code, close.msg.as_deref().unwrap_or_default()).await;
    }

    async fn acknowledge_rest(&mut self, code: CloseCode) -> Result<(), Unwritable> {
        let broken = self.session.connection.broken.is_cancelled();
        if code == CloseCode::TakenOver || broken {
            return Ok(());
        }
        self.acknowledge().await
    }

    /// Waits until everything received has settled, unless it never will, or there is no time left, or for as long as
    /// a silent client may stay: this one may have gone.
    async fn settle(&mut self) {
        let session = Arc::clone(&self.session);
        let Session { numbering, connection } = &*session;
        let ended = async {
            while numbering.in_flight() > 0 {
                connection.settled.notified().await;
            }
        };
        self.core.aggregates.release(&numbering.account, ANSWER_PATIENCE);
        let patience = Duration::from_millis(u64::from(self.core.limits.idle_ms));
        tokio::select! {
            _ = timeout(patience, ended) => {}
            () = connection.broken.cancelled() => {}
            () = connection.taken_over.cancelled() => {}
            () = self.core.closing.cancelled() => {}
        }
    }

    fn due_at(&self) -> Instant {
        let times = &self.times;
        let mut due_at = times.ping_at.min(Instant::now() + NEVER);
        if let Some(since) = times.unsent_since {
            due_at = due_at.min(since + Duration::from_millis(limits::ACK_DELAY_MS));
        }
        if self.session.connection.is_not_read() {
            due_at = due_at.min(times.spoke_at + HEARTBEAT);
        }
        if let (Some(at), None) = (times.leave_at, times.goaway_at) {
            due_at = due_at.min(at);
        }
        if let Some(until) = self.told_until {
            due_at = due_at.min(until);
        }
        if let Some(at) = times.goaway_at {
            let ahead = [LAST_EVENTS, self.overstay()].into_iter().filter(|after| at.elapsed() < *after);
            due_at = ahead.fold(due_at, |due_at, after| due_at.min(at + after));
        }
        due_at
    }

    fn is_heartbeat_due(&self, now: Instant) -> bool {
        self.session.connection.is_not_read() && now >= self.times.spoke_at + HEARTBEAT
    }

    /// What the client is told holds its credit back, and until when, where that is known. What everybody waits for
    /// goes first: with it over, a hold of this client alone may be too.
    fn reason(&self, standing: Standing) -> (Reason, Option<Instant>) {
        let connection = &self.session.connection;
        let (general, stalled) = (*self.reason.borrow(), connection.stalled_by());
        let waits = standing.in_flight > 0 || stalled != Reason::Ok;
        if general == Reason::Draining || general != Reason::Ok && waits {
            return (general, None);
        }
        match (stalled, connection.held_back()) {
            (Reason::Ok, Some(hold)) => (hold.reason, Some(hold.until.into())),
            (Reason::Ok, None) if standing.is_cut => (Reason::Memory, None),
            (stalled, _) => (stalled, None),
        }
    }

    async fn send(&mut self, frame: &GatewayFrame) -> Result<(), Unwritable> {
        self.buffer.clear();
        match self.coding {
            Coding::Binary => frame.to_binary(&mut self.buffer),
            Coding::Json => self.buffer.extend_from_slice(frame.to_json().as_bytes()),
            Coding::CloudEvents => return Ok(()),
        }
        let patience = Duration::from_millis(u64::from(self.core.limits.idle_ms));
        let sent: Result<io::Result<()>, _> = timeout(patience, self.outgoing.send(&self.buffer)).await;
        self.buffer.shrink_to(KEEP_BYTES);
        match sent {
            Ok(Ok(())) => {
                self.times.spoke_at = Instant::now();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Unwritable),
        }
    }
}

/// What a session keeps of its buffer between frames.
const KEEP_BYTES: usize = 256;

impl Times {
    fn is_goaway_due(&self) -> bool {
        self.goaway_at.is_none() && self.leave_at.is_some_and(|at| Instant::now() >= at)
    }

    /// 64 settled, or 10 ms since the first of them, or nothing left to wait for.
    fn is_ack_due(&self, untold: u64, in_flight: u64, now: Instant) -> bool {
        untold > 0
            && (untold >= limits::ACK_EVENTS.into()
                || in_flight == 0
                || self
                    .unsent_since
                    .is_some_and(|since| now >= since + Duration::from_millis(limits::ACK_DELAY_MS)))
    }
}

/// Whole milliseconds until `at`, rounded up: a client that waits as long does not come too early.
fn ms_until(at: Instant) -> u64 {
    let left = at.saturating_duration_since(Instant::now());
    u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// A CLOSE frame of this coding, if the coding has frames.
pub(super) fn encode_close(close: &Close, coding: Coding) -> Option<Vec<u8>> {
    let frame = GatewayFrame::Close(close.clone());
    match coding {
        Coding::Binary => {
            let mut bytes = Vec::new();
            frame.to_binary(&mut bytes);
            Some(bytes)
        }
        Coding::Json => Some(frame.to_json().into_bytes()),
        Coding::CloudEvents => None,
    }
}
