//! One client of a session: sends what is due and allowed, reads what has settled, comes back after a break.

mod broken;
mod encode;
mod receive;
mod send;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tidegate_wire::{ClientFrame, GatewayFrame, Hello, Reason, Welcome};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use self::broken::Break;
use crate::clock;
use crate::flight::Flight;
use crate::link::{Dialer, Link, Receiver, Sender};
use crate::pacer::Pacer;
use crate::plan::Shared;
use crate::run::Parts;
use crate::schedule::Schedule;
use crate::tally::{ClientTally, Live, Tally};

/// How long a client waits for a connection with its WELCOME.
const PATIENCE: Duration = Duration::from_secs(20);
/// And for the gateway's part of a goodbye, which may get lost on the way.
const GOODBYE: Duration = Duration::from_secs(5);
/// What a broken connection may still have to say.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One client. Everything in it belongs to one thread; no borrow of a cell outlives an `await`.
pub(crate) struct Client<'a> {
    index: u32,
    shared: &'a Shared,
    dialer: &'a Dialer,
    tally: &'a RefCell<Tally>,
    pacer: &'a Pacer,
    flight: RefCell<Flight>,
    schedule: RefCell<Option<Schedule>>,
    refused: RefCell<Vec<u64>>,
    /// Frames that are due besides events.
    replies: RefCell<VecDeque<ClientFrame<'static>>>,
    /// Something came that the sending half may have waited for.
    news: Notify,
    /// After GOAWAY nothing is sent on this connection; the next one may be opened after so long.
    leaving: Cell<Option<Duration>>,
    max_frame_bytes: Cell<usize>,
    /// What holds credit back, as the gateway said last.
    reason: Cell<Reason>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        let Parts { index, shared, dialer, tally, pacer } = parts;
        Self {
            index,
            shared,
            dialer,
            tally,
            pacer,
            flight: RefCell::new(Flight::new(shared.plan.obedient)),
            schedule: RefCell::default(),
            refused: RefCell::default(),
            replies: RefCell::default(),
            news: Notify::new(),
            leaving: Cell::default(),
            max_frame_bytes: Cell::new(usize::MAX),
            reason: Cell::new(Reason::Ok),
        }
    }

    /// From the first connection to the last acknowledgement; then the tally has what became of it.
    pub(crate) async fn run(self, connecting: &Semaphore) {
        let result = tokio::select! {
            result = self.until_done(connecting) => result,
            () = self.shared.given_up() => self.given_up(),
        };
        let Self { index, shared, tally, flight, schedule, refused, .. } = self;
        let (flight, mut tally) = (flight.into_inner(), tally.borrow_mut());
        if let Err(why) = result {
            tally.failed(format!("{why:#}"));
        }
        tally.unanswered(flight.open_frames().collect(), schedule.into_inner());
        // Lossy events are promised to nobody.
        let upto = if shared.plan.unacknowledged { 0 } else { flight.lowest_open() - 1 };
        tally.clients.push(ClientTally {
            client: index,
            highest: flight.highest(),
            upto,
            refused: refused.into_inner(),
        });
        Live::add(&shared.live.ended, 1);
    }

    /// What is wrong with a client that the end of the run has stopped.
    fn given_up(&self) -> Result<()> {
        let times = *self.shared.timetable.borrow();
        let unmet = self.schedule.borrow().map(|schedule| self.shared.plan.unmet(schedule, times));
        let unmet: u64 = unmet.into_iter().flatten().map(|(_, count)| count).sum();
        match (self.flight.borrow().unsettled(), unmet) {
            (0, 0) => Ok(()),
            (open, 0) => bail!("{open} events had no answer in time{}", self.held_back()),
            (open, unmet) => bail!(
                "{open} events had no answer in time, and {unmet} that were due could not be sent{}",
                self.held_back()
            ),
        }
    }

    fn held_back(&self) -> String {
        match self.reason.get() {
            Reason::Ok => String::new(),
            reason => format!(" (the gateway holds credit back: `{}`)", reason.name()),
        }
    }

    async fn until_done(&self, connecting: &Semaphore) -> Result<()> {
        // The very first connection must succeed: what is wrong then is wrong for good.
        let mut link = self.connect(connecting).await.map_err(|broke| broke.why)?;
        Live::add(&self.shared.live.connected, 1);
        loop {
            let Err(broke) = self.serve(link).await else { return Ok(()) };
            {
                let mut tally = self.tally.borrow_mut();
                tally.breaks += 1;
                tally.broke_at.push(clock::now());
            }
            link = self.come_back(broke, connecting).await?;
            self.tally.borrow_mut().back_at.push(clock::now());
        }
    }

    /// Connects again and again, until it works or has been tried for long enough.
    async fn come_back(&self, mut broke: Break, connecting: &Semaphore) -> Result<Link> {
        let deadline = clock::now() + broke.wait + self.shared.plan.reconnect_for;
        let mut backoff = Duration::from_millis(125);
        loop {
            // Clients differ by their index instead of by chance.
            let pause = broke.wait.max(backoff) + Duration::from_millis(u64::from(self.index % 64) * 4);
            if broke.is_final || clock::now() + pause >= deadline {
                return Err(broke.why);
            }
            tokio::time::sleep(pause).await;
            backoff = (backoff * 2).min(Duration::from_secs(1));
            match self.connect(connecting).await {
                Ok(link) => return Ok(link),
                Err(again) => broke = again,
            }
        }
    }

    async fn connect(&self, connecting: &Semaphore) -> Result<Link, Break> {
        let _turn = connecting.acquire().await?;
        let opened = timeout(PATIENCE, self.open()).await;
        opened.map_err(|_| {
            let (carrier, url) = (self.shared.plan.carrier, &self.dialer.target.url);
            let udp =
                if carrier.is_udp() { format!("; is UDP port {} open?", url.port) } else { String::new() };
            anyhow!("{} does not answer over {carrier} in time{udp}", url.authority())
        })?
    }

    /// Opens a connection, says HELLO and takes WELCOME, and what came with it.
    async fn open(&self) -> Result<Link, Break> {
        let mut link = self.dialer.connect().await?;
        let hello = Hello {
            token: self.dialer.token().map(str::to_owned),
            client: Some(self.shared.plan.client_name(self.index)),
            epoch: Some(self.shared.plan.epoch),
            next: Some(self.flight.borrow().lowest_open()),
            sdk: Some(concat!("loadtest/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..Hello::default()
        };
        self.leaving.set(None);
        self.replies.borrow_mut().clear();
        link.sender.frame(&ClientFrame::Hello(hello)).await?;
        let mut frames = Vec::new();
        link.receiver.next(&mut frames).await?;
        let mut frames = frames.into_iter();
        match frames.next() {
            Some(GatewayFrame::Welcome(welcome)) => self.welcome(&welcome)?,
            Some(GatewayFrame::Close(close)) => return Err(Break::closed(&close)),
            other => return Err(anyhow!("expected WELCOME, got {other:?}").into()),
        }
        frames.try_for_each(|frame| self.frame(frame))?;
        Ok(link)
    }

    fn welcome(&self, welcome: &Welcome) -> Result<(), Break> {
        let batch = self.shared.plan.batch;
        if welcome.max_batch_events < batch {
            let most = welcome.max_batch_events;
            return Err(Break::fatal(anyhow!(
                "the gateway takes {most} events in a frame: --batch {batch} is too many"
            )));
        }
        if welcome.rej_more {
            return Err(Break::fatal(anyhow!("the gateway has forgotten which events it refused")));
        }
        // What held an earlier connection back is told again if it still does.
        self.reason.set(Reason::Ok);
        self.max_frame_bytes.set(usize::try_from(welcome.max_frame_bytes).unwrap_or(usize::MAX));
        self.note_refusals(&welcome.rej);
        let settled = self.flight.borrow_mut().welcome(welcome);
        self.settle(&settled);
        Ok(())
    }

    async fn serve(&self, link: Link) -> Result<(), Break> {
        let Link { mut sender, mut receiver } = link;
        let sent = tokio::select! {
            sent = self.send(&mut sender) => sent,
            broke = self.receive(&mut receiver) => Err(broke),
        };
        match sent {
            Ok(()) => goodbye(&mut receiver).await,
            Err(broke) if broke.is_heard || broke.is_final => return Err(broke),
            // What came before it broke counts, and a CLOSE says more than a write that failed.
            Err(broke) => {
                let heard = timeout(LAST_WORDS, self.receive(&mut receiver)).await;
                return Err(heard.ok().filter(|heard| heard.is_heard).unwrap_or(broke));
            }
        }
        drop::<Sender>(sender);
        Ok(())
    }
}

/// The gateway's CLOSE ends it. All is settled: nothing else matters any more.
async fn goodbye(receiver: &mut Receiver) {
    let _ = timeout(GOODBYE, async { while receiver.next(&mut Vec::new()).await.is_ok() {} }).await;
}
