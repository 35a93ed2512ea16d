//! One client of a session: sends what is due and allowed, reads what has settled, comes back after a break.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tidegate_wire::{BatchWriter, ClientFrame, Close, CloseCode, GatewayFrame, Hello, Ping, Rejection};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use crate::clock;
use crate::flight::{Flight, Next, Settled};
use crate::link::{Dialer, Receiver, Sender};
use crate::plan::{Shared, Timetable};
use crate::schedule::{Schedule, Turn};
use crate::tally::{ClientTally, Live, Tally};

/// How long a client waits for the answer to its HELLO, and in silence before it asks and before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(5);
/// Answers that may wait for the sending half; a gateway that asks more often is not answered more often.
const REPLIES_MAX: usize = 16;

/// One client. Everything in it belongs to one thread.
pub(crate) struct Client<'a> {
    pub(crate) index: u32,
    pub(crate) shared: &'a Shared,
    pub(crate) dialer: &'a Dialer,
    pub(crate) tally: &'a RefCell<Tally>,
    flight: RefCell<Flight>,
    schedule: RefCell<Option<Schedule>>,
    refused: RefCell<Vec<u64>>,
    /// Frames that are due besides events.
    replies: RefCell<VecDeque<ClientFrame<'static>>>,
    /// Something came that the sending half may have waited for.
    news: Notify,
    leaving: Cell<bool>,
}

/// Why a connection ended before it should.
struct Break {
    why: anyhow::Error,
    /// Coming back cannot help.
    is_final: bool,
    wait: Duration,
}

impl<'a> Client<'a> {
    pub(crate) fn new(index: u32, shared: &'a Shared, dialer: &'a Dialer, tally: &'a RefCell<Tally>) -> Self {
        Self {
            index,
            shared,
            dialer,
            tally,
            flight: RefCell::new(Flight::new(shared.plan.obedient)),
            schedule: RefCell::default(),
            refused: RefCell::default(),
            replies: RefCell::default(),
            news: Notify::new(),
            leaving: Cell::new(false),
        }
    }

    /// From the first connection to the last acknowledgement; then the tally has what became of it.
    pub(crate) async fn run(self, connecting: &tokio::sync::Semaphore) {
        let result = self.until_done(connecting).await;
        let now = clock::now();
        let mut tally = self.tally.borrow_mut();
        if let Err(why) = result {
            tally.failed(format!("{why:#}"));
        }
        if let Some(timetable) = *self.shared.timetable.borrow() {
            let flight = self.flight.borrow();
            let counts = |due: &Instant| (timetable.measure_from..timetable.end).contains(due);
            flight
                .open_frames()
                .filter(|(due, _)| counts(due))
                .for_each(|(due, count)| tally.missed(due, now, count));
            let unmet = self.schedule.borrow().map(|schedule| schedule.unmet(timetable.end));
            let batch = u64::from(self.shared.plan.batch);
            unmet.into_iter().flatten().filter(counts).for_each(|due| tally.missed(due, now, batch));
        }
        let flight = self.flight.borrow();
        let (highest, upto) = (flight.highest(), flight.lowest_open() - 1);
        tally.clients.push(ClientTally { client: self.index, highest, upto, refused: self.refused.take() });
        Live::add(&self.shared.live.ended, 1);
    }

    async fn until_done(&self, connecting: &tokio::sync::Semaphore) -> Result<()> {
        let mut deadline = None;
        let mut attempt = 0_u32;
        loop {
            let broke = match self.connect(connecting).await {
                Ok((sender, receiver)) => {
                    if deadline.is_none() {
                        Live::add(&self.shared.live.connected, 1);
                    }
                    (deadline, attempt) = (Some(clock::now() + self.shared.plan.reconnect_for), 0);
                    match self.serve(sender, receiver).await {
                        Ok(()) => return Ok(()),
                        Err(broke) => broke,
                    }
                }
                Err(broke) => broke,
            };
            // The very first connection must succeed: what is wrong then is wrong for good.
            let Some(last) = deadline.filter(|_| !broke.is_final) else { return Err(broke.why) };
            if attempt == 0 {
                self.tally.borrow_mut().breaks += 1;
                deadline = Some(clock::now() + self.shared.plan.reconnect_for);
            }
            attempt += 1;
            // A quarter of a second and doubling; clients differ by their index instead of by chance.
            let spread = Duration::from_millis(u64::from(self.index % 64) * 4);
            let pause = broke.wait.max(Duration::from_millis(250 << attempt.min(4)) / 2 + spread);
            let give_up = self.shared.timetable.borrow().map(|timetable| timetable.give_up);
            let last = give_up.map_or(last, |give_up| last.min(give_up));
            if clock::now() + pause >= last {
                return Err(broke.why);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect(&self, connecting: &tokio::sync::Semaphore) -> Result<(Sender, Receiver), Break> {
        let opening = async {
            let _turn = connecting.acquire().await?;
            let mut link = self.dialer.connect().await?;
            let plan = &self.shared.plan;
            let hello = Hello {
                token: self.dialer.token().map(str::to_owned),
                client: Some(plan.client_name(self.index)),
                epoch: Some(1),
                next: Some(self.flight.borrow().lowest_open()),
                sdk: Some(concat!("loadtest/", env!("CARGO_PKG_VERSION")).to_owned()),
                ..Hello::default()
            };
            link.sender.frame(&ClientFrame::Hello(hello)).await?;
            let mut frames = Vec::new();
            link.receiver.next(&mut frames).await?;
            match frames.into_iter().next() {
                Some(GatewayFrame::Welcome(welcome)) => {
                    self.note_refusals(&welcome.rej);
                    let settled = self.flight.borrow_mut().welcome(&welcome);
                    self.settle(&settled);
                    Ok(Ok((link.sender, link.receiver)))
                }
                Some(GatewayFrame::Close(close)) => Ok(Err(Break::closed(&close))),
                other => bail!("expected WELCOME, got {other:?}"),
            }
        };
        let opened = timeout(PATIENCE + PATIENCE, opening).await;
        opened.map_err(|_| anyhow!("no answer to HELLO in time")).and_then(|opened| opened)?
    }

    async fn serve(&self, mut sender: Sender, mut receiver: Receiver) -> Result<(), Break> {
        self.leaving.set(false);
        self.replies.borrow_mut().clear();
        tokio::select! {
            sent = self.send(&mut sender) => sent?,
            broke = self.receive(&mut receiver) => return Err(broke),
        }
        // Said goodbye: the gateway's CLOSE ends it, and nothing else matters any more.
        let _ = timeout(PATIENCE, async { while receiver.next(&mut Vec::new()).await.is_ok() {} }).await;
        Ok(())
    }

    async fn send(&self, sender: &mut Sender) -> Result<()> {
        let mut timetable = self.shared.timetable.subscribe();
        let mut buffer = Buffer::default();
        loop {
            self.send_replies(sender).await?;
            let now = clock::now();
            let Some(times) = *timetable.borrow_and_update() else {
                tokio::select! { _ = timetable.changed() => {}, () = self.news.notified() => {} }
                continue;
            };
            if now >= times.give_up {
                bail!("{} events were not acknowledged in time", self.flight.borrow().unsettled());
            }
            let turn = self.turn(now, times);
            let is_allowed = !self.leaving.get() && self.may_send();
            match turn {
                Some(due) if is_allowed => {
                    self.send_frame(sender, due, &mut buffer).await?;
                    tokio::task::coop::consume_budget().await;
                }
                None if self.is_through(now, times) => break,
                _ => {
                    let wake = self.wake(now, times, turn.is_some());
                    tokio::select! {
                        () = sleep_until(wake.into()) => {}
                        () = self.news.notified() => {}
                        _ = timetable.changed() => {}
                    }
                }
            }
        }
        sender.frame(&ClientFrame::Close(Close::new(CloseCode::Done))).await
    }

    /// Since when the next frame is due: one that was sent before has its old time.
    fn turn(&self, now: Instant, times: Timetable) -> Option<Instant> {
        if self.flight.borrow().owes() {
            return Some(now);
        }
        let mut schedule = self.schedule.borrow_mut();
        let schedule = schedule.get_or_insert_with(|| self.shared.plan.schedule(self.index, times.start));
        match schedule.turn(now, times.end) {
            Turn::Due(due) => Some(due),
            Turn::Later(_) | Turn::Over => None,
        }
    }

    fn is_through(&self, now: Instant, times: Timetable) -> bool {
        let over = self.schedule.borrow().is_some_and(|schedule| schedule.turn(now, times.end) == Turn::Over);
        // With a number of events to send it is through when they are; else it stays to the end, also with none.
        let stays = self.shared.plan.frames.is_none_or(|frames| frames == 0) && now < times.end;
        over && !stays && self.flight.borrow().unsettled() == 0
    }

    /// When to look again if nothing comes.
    fn wake(&self, now: Instant, times: Timetable, waits_for_credit: bool) -> Instant {
        let end = if now < times.end { times.end } else { times.give_up };
        match self.schedule.borrow().map(|schedule| schedule.turn(now, times.end)) {
            Some(Turn::Later(due)) if !waits_for_credit => due.min(end),
            _ => end,
        }
    }

    fn may_send(&self) -> bool {
        let plan = &self.shared.plan;
        plan.unacknowledged || {
            let flight = self.flight.borrow();
            let bytes = plan.payload.bytes(flight.highest() + 1, plan.batch);
            flight.may_send(plan.batch, bytes)
        }
    }

    async fn send_frame(&self, sender: &mut Sender, due: Instant, buffer: &mut Buffer) -> Result<()> {
        let plan = &self.shared.plan;
        let next = {
            let mut flight = self.flight.borrow_mut();
            let is_new = !flight.owes();
            if is_new {
                flight.plan(plan.batch, due);
                if let Some(schedule) = self.schedule.borrow_mut().as_mut() {
                    schedule.advance();
                }
            }
            let next = flight.take(|number| plan.payload.bytes(number, 1), is_new);
            if plan.unacknowledged {
                flight.forget();
            }
            next
        };
        let Some(next) = next else { return Ok(()) };
        buffer.encode(self, next, sender.is_json())?;
        sender.send(&buffer.frame).await?;
        let count = u64::from(next.count);
        if next.again {
            self.tally.borrow_mut().sent_again += count;
        } else {
            Live::add(&self.shared.live.sent, count);
        }
        Ok(())
    }

    async fn send_replies(&self, sender: &mut Sender) -> Result<()> {
        loop {
            let reply = self.replies.borrow_mut().pop_front();
            let Some(reply) = reply else { return Ok(()) };
            sender.frame(&reply).await?;
        }
    }

    /// Reads until the connection ends; that is what it returns.
    async fn receive(&self, receiver: &mut Receiver) -> Break {
        let mut frames = Vec::new();
        let mut asked = false;
        loop {
            match timeout(SILENCE, receiver.next(&mut frames)).await {
                Ok(Ok(())) => asked = false,
                Ok(Err(why)) => return Break::broken(why),
                Err(_) if self.flight.borrow().unsettled() == 0 => continue,
                Err(_) if asked => return Break::broken(anyhow!("the gateway has fallen silent")),
                Err(_) => {
                    asked = true;
                    self.reply(ClientFrame::Ping(Ping::default()));
                }
            }
            for frame in frames.drain(..) {
                if let Err(broke) = self.frame(frame) {
                    return broke;
                }
            }
            self.news.notify_one();
        }
    }

    fn frame(&self, frame: GatewayFrame) -> Result<(), Break> {
        match frame {
            GatewayFrame::Ack(ack) => {
                self.note_refusals(&ack.list);
                let settled = self.flight.borrow_mut().ack(&ack);
                let settled =
                    settled.map_err(|why| Break { is_final: true, ..Break::broken(anyhow!(why)) })?;
                self.settle(&settled);
            }
            GatewayFrame::Ping(ping) => self.reply(ClientFrame::Pong(ping)),
            GatewayFrame::Pong(_) => {}
            GatewayFrame::Goaway(_) => self.leaving.set(true),
            GatewayFrame::Close(close) => return Err(Break::closed(&close)),
            GatewayFrame::Welcome(_) => return Err(Break::broken(anyhow!("a second WELCOME"))),
        }
        Ok(())
    }

    fn reply(&self, frame: ClientFrame<'static>) {
        let mut replies = self.replies.borrow_mut();
        if replies.len() < REPLIES_MAX {
            replies.push_back(frame);
        }
        self.news.notify_one();
    }

    fn note_refusals(&self, refused: &[Rejection]) {
        let lowest = self.flight.borrow().lowest_open();
        for rejection in refused.iter().filter(|rejection| rejection.seq >= lowest) {
            self.refused.borrow_mut().push(rejection.seq);
            *self.tally.borrow_mut().refusals.entry(rejection.code.name().to_owned()).or_default() += 1;
        }
    }

    fn settle(&self, settled: &[Settled]) {
        if settled.is_empty() {
            return;
        }
        let now = clock::now();
        let times = *self.shared.timetable.borrow();
        let mut tally = self.tally.borrow_mut();
        for settled in settled {
            Live::add(&self.shared.live.acknowledged, settled.acknowledged);
            Live::add(&self.shared.live.refused, settled.refused);
            if times.is_some_and(|times| (times.measure_from..times.end).contains(&settled.due)) {
                tally.answered(settled.due, now, settled.acknowledged + settled.refused);
            }
        }
    }
}

impl Break {
    fn broken(why: anyhow::Error) -> Self {
        Self { why, is_final: false, wait: Duration::ZERO }
    }

    fn closed(close: &Close) -> Self {
        use CloseCode::{Auth, Done, Origin, StaleEpoch, TakenOver, Version};
        let said = close.msg.as_deref().map(|msg| format!(": {msg}")).unwrap_or_default();
        Self {
            why: anyhow!("the gateway closed with {} ({}){said}", close.code.number(), close.code),
            is_final: matches!(close.code, Auth | Done | Origin | StaleEpoch | TakenOver | Version),
            wait: Duration::from_millis(close.retry_ms.unwrap_or(0)),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Break {
    fn from(why: E) -> Self {
        Self::broken(why.into())
    }
}

/// Bytes of the frame to send, used over and over.
#[derive(Default)]
struct Buffer {
    frame: Vec<u8>,
    event: Vec<u8>,
    records: BatchWriter,
}

impl Buffer {
    fn encode(&mut self, client: &Client<'_>, next: Next, json: bool) -> Result<()> {
        let Client { index, shared, .. } = client;
        let plan = &shared.plan;
        let numbers = next.first..next.first + u64::from(next.count);
        self.frame.clear();
        if json {
            let lossy = if plan.unacknowledged { r#","lossy":true"# } else { "" };
            self.frame.extend_from_slice(format!(r#"{{"t":"ev","s":{}{lossy},"e":["#, next.first).as_bytes());
            for number in numbers {
                plan.payload.append(*index, number, &mut self.frame);
                self.frame.push(b',');
            }
            self.frame.pop();
            self.frame.extend_from_slice(b"]}");
        } else {
            for number in numbers {
                plan.payload.write(*index, number, &mut self.event);
                self.records.structured(&self.event);
            }
            self.records.finish(next.first, plan.unacknowledged, None, &mut self.frame).context("a frame")?;
        }
        Ok(())
    }
}
