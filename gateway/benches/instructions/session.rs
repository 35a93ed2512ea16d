//! A whole session over a link in memory, to a destination that keeps nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::access::Access;
use tidegate::carrier::Carrier;
use tidegate::config::Config;
use tidegate::deliver::{Health, Pending, Sink};
use tidegate::listen::link::{Coding, Gate as _, Packet, Peer};
use tidegate::listen::memory::{self, MemoryClient};
use tidegate::metrics::Metrics;
use tidegate::pipeline::{Encodes, Pipeline};
use tidegate::rates::Rates;
use tidegate::record::Records;
use tidegate::session::{Parts, Sessions};
use tidegate::ticket::Ticket;
use tidegate_wire::{ClientFrame, Hello, Level, Limits, Reason};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::Scenario;
use super::events::{self, BATCH};

/// From a frame on the link to its ACK on the link: reading, decoding, pipeline, budget, settling, acknowledging.
pub(super) struct Converse {
    client: Client,
    packet: Option<Packet>,
}

impl Converse {
    pub(super) fn new() -> Self {
        Self { client: Client::of(Keeps::Nothing), packet: None }
    }
}

impl Scenario for Converse {
    fn prepare(&mut self) {
        self.packet = Some(self.client.next_frame());
    }

    fn run(&mut self) {
        if let Some(packet) = self.packet.take() {
            self.client.send(packet);
        }
        self.client.acknowledged();
    }
}

/// From the destination's verdict on a frame to its ACK on the link.
pub(super) struct Acknowledge {
    client: Client,
}

impl Acknowledge {
    pub(super) fn new() -> Self {
        Self { client: Client::of(Keeps::Tickets(Mutex::default())) }
    }
}

impl Scenario for Acknowledge {
    fn prepare(&mut self) {
        let packet = self.client.next_frame();
        self.client.send(packet);
        let sink = Arc::clone(&self.client.sink);
        self.client.runtime.block_on(async {
            while !sink.keeps_a_ticket() {
                tokio::task::yield_now().await;
            }
        });
    }

    fn run(&mut self) {
        self.client.sink.commit();
        self.client.acknowledged();
    }
}

/// A client that has been welcomed.
struct Client {
    runtime: Runtime,
    ends: MemoryClient,
    sink: Arc<Keeps>,
    next_seq: u64,
    /// Kept, so that the session goes on hearing that all is well.
    _reasons: watch::Sender<Reason>,
}

impl Client {
    fn of(sink: Keeps) -> Self {
        let sink = Arc::new(sink);
        let (sessions, reasons) = sessions(Arc::clone(&sink) as Arc<dyn Sink>);
        let (link, ends) = memory::pair();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let remote = ([127, 0, 0, 1], 1).into();
        let coding = Coding::Binary;
        let peer = Peer { carrier: Carrier::Quic, coding, remote, grant: None, datagrams: false };
        runtime.spawn(async move { sessions.serve(link, peer).await });
        let mut client = Self { runtime, ends, sink, next_seq: 1, _reasons: reasons };
        let hello = Hello { client: Some("web-1".to_owned()), epoch: Some(1), ..Hello::default() };
        let mut bytes = Vec::new();
        ClientFrame::Hello(hello).to_binary(&mut bytes);
        client.send(Packet::Frames(bytes.into()));
        client.acknowledged();
        client
    }

    fn next_frame(&mut self) -> Packet {
        let frame = events::structured_frame(self.next_seq);
        self.next_seq += u64::from(BATCH);
        Packet::Frames(frame.into())
    }

    fn send(&mut self, packet: Packet) {
        self.runtime.block_on(self.ends.packets.send(packet)).unwrap();
    }

    /// Waits for what the gateway says next: to one frame at a time, that is one answer.
    fn acknowledged(&mut self) {
        assert!(self.runtime.block_on(self.ends.frames.recv()).is_some());
    }
}

/// A destination that is done with records at once, or when it is told.
enum Keeps {
    Nothing,
    Tickets(Mutex<Option<Ticket>>),
}

impl Keeps {
    fn keeps_a_ticket(&self) -> bool {
        matches!(self, Self::Tickets(ticket) if ticket.lock().unwrap().is_some())
    }

    fn commit(&self) {
        if let Self::Tickets(ticket) = self
            && let Some(ticket) = ticket.lock().unwrap().take()
        {
            ticket.committed(BATCH);
        }
    }
}

impl Sink for Keeps {
    fn level(&self) -> Level {
        Level::Committed
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        assert_eq!((records.len(), from), (BATCH as usize, 0));
        match self {
            Self::Nothing => ticket.committed(BATCH),
            Self::Tickets(kept) => *kept.lock().unwrap() = Some(ticket.clone()),
        }
        records.len()
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(async {})
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn drain(&self, _deadline: Duration) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

fn sessions(sink: Arc<dyn Sink>) -> (Sessions, watch::Sender<Reason>) {
    let config = Config::default();
    let (metrics, _) = Metrics::register();
    let topics = vec!["events".to_owned()];
    let (reasons, reason) = watch::channel(Reason::Ok);
    let sessions = Sessions::new(Parts {
        metrics: Arc::new(metrics),
        pipeline: Arc::new(
            Pipeline::new(Limits::default(), &config.routes, &topics, Encodes::ByRoute).unwrap(),
        ),
        sink,
        access: Arc::new(Access::new(&config.auth, &config.origins, &topics)),
        rates: Arc::new(Rates::none(tokio::time::Instant::now().into_std())),
        limits: config.limits,
        shutdown: config.shutdown,
        reason,
    });
    (sessions, reasons)
}
