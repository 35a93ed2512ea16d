//! The fixture: all sessions of one gateway, its destination, and clients.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidegate_wire::{
    Ack, BatchWriter, ClientFrame, Close, CloseCode, Frames, GatewayFrame, Hello, Level, Limits, Reason,
    Welcome,
};
use tokio::sync::{Notify, watch};

use crate::access::Access;
use crate::carrier::Carrier;
use crate::config::{self, Config};
use crate::deliver::{Health, Pending, Sink};
use crate::listen::link::{Coding, Gate, Packet, Peer};
use crate::listen::memory::{self, MemoryClient};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::pipeline::{Encodes, Pipeline};
use crate::rates::Rates;
use crate::record::Records;
use crate::schema::{Subjects, Unreachable};
use crate::session::hold::Connection;
use crate::session::{Parts, Sessions};
use crate::ticket::Ticket;

/// All sessions of one gateway.
pub(super) struct Gateway {
    pub(super) sessions: Sessions,
    pub(super) sink: Arc<HeldSink>,
    pub(super) metrics: Arc<Metrics>,
    /// What schema registries say.
    pub(super) subjects: Arc<Subjects>,
    reasons: watch::Sender<Reason>,
}

/// A destination that keeps what it gets until a test settles it.
pub(super) struct HeldSink {
    pub(super) health: Mutex<Health>,
    held: Mutex<Vec<(String, u32, Ticket)>>,
    /// How many records it takes before it is full.
    room: Mutex<usize>,
    changed: Notify,
}

impl Gateway {
    pub(super) fn new() -> Self {
        Self::with(at_once())
    }

    pub(super) fn with(config: Config) -> Self {
        let (metrics, _registry) = Metrics::register();
        let metrics = Arc::new(metrics);
        let sink = Arc::new(HeldSink {
            health: Mutex::new(Health::Ready),
            held: Mutex::default(),
            room: Mutex::new(usize::MAX),
            changed: Notify::new(),
        });
        let (reason, reasons) = watch::channel(Reason::Ok);
        let topics = vec!["events".to_owned()];
        let subjects = Arc::new(Subjects::new(config.subjects(), Unreachable::Hold));
        let sessions = Sessions::new(Parts {
            metrics: Arc::clone(&metrics),
            pipeline: Arc::new(
                Pipeline::with_schemas(
                    Limits::default(),
                    &config.routes,
                    &topics,
                    Encodes::ByRoute,
                    Arc::clone(&subjects),
                )
                .unwrap(),
            ),
            sink: Arc::clone(&sink) as Arc<dyn Sink>,
            access: Arc::new(Access::new(&config.auth, &config.origins, &topics)),
            rates: Arc::new(Rates::new(
                &config.rates,
                config.limits.max_event_bytes.0,
                &metrics.rates,
                crate::session::now(),
            )),
            limits: config.limits,
            shutdown: config.shutdown,
            reason: reasons,
        });
        let aggregated = sessions.clone();
        tokio::spawn(async move { aggregated.aggregate().await });
        Self { sessions, sink, metrics, subjects, reasons: reason }
    }

    pub(super) fn limited(change: impl FnOnce(&mut config::Limits)) -> Self {
        let mut config = at_once();
        change(&mut config.limits);
        Self::with(config)
    }

    /// A connection that has not said anything.
    pub(super) fn connect(&self, carrier: Carrier, coding: Coding) -> Client {
        let (link, ends) = memory::pair();
        let remote = ([127, 0, 0, 1], 1).into();
        let peer = Peer { carrier, coding, remote, grant: None, datagrams: carrier == Carrier::Quic };
        let sessions = self.sessions.clone();
        tokio::spawn(async move { sessions.serve(link, peer).await });
        Client { ends, coding, unread: Vec::new() }
    }

    /// A QUIC client that has been welcomed.
    pub(super) async fn client(&self, name: &str, next: u64) -> (Client, Welcome) {
        let mut client = self.connect(Carrier::Quic, Coding::Binary);
        let hello =
            Hello { client: Some(name.to_owned()), epoch: Some(1), next: Some(next), ..Hello::default() };
        client.send(&ClientFrame::Hello(hello)).await;
        let welcome = client.welcome().await;
        (client, welcome)
    }

    /// The same, or one that was refused: the second is whether it was welcomed.
    pub(super) async fn try_client(&self, name: &str, next: u64) -> (Client, bool) {
        let mut client = self.connect(Carrier::Quic, Coding::Binary);
        let hello =
            Hello { client: Some(name.to_owned()), epoch: Some(1), next: Some(next), ..Hello::default() };
        client.send(&ClientFrame::Hello(hello)).await;
        let first = client.next().await.unwrap();
        let is_open = matches!(first, GatewayFrame::Welcome(_));
        client.unread.insert(0, first);
        if is_open {
            client.welcome().await;
        }
        (client, is_open)
    }

    /// Says what holds everybody's credit back.
    pub(super) fn say(&self, reason: Reason) {
        self.reasons.send_replace(reason);
    }

    /// Waits until everybody waits: time passes only then.
    pub(super) async fn settled_down(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Commits whatever comes until nothing more does.
    pub(super) async fn commit_all(&self) {
        self.settled_down().await;
        while !self.sink.values().is_empty() {
            self.sink.commit(self.sink.values().len());
            self.settled_down().await;
        }
    }

    /// How often somebody came up against this limit of a rate.
    pub(super) fn rate_limited(&self, limit: &'static str) -> u64 {
        self.metrics.rates.times(limit)
    }

    /// The connection that has the numbering of `client`.
    pub(super) fn connection(&self, client: &str) -> Arc<Connection> {
        self.sessions.0.registry.of(client).unwrap().connection()
    }

    /// The equation, over all carriers: everything received has ended.
    pub(super) fn assert_accounted(&self) {
        for carrier in Carrier::ALL {
            let series = self.metrics.carrier(carrier);
            assert_eq!(series.in_flight.get(), 0, "in flight on {}", carrier.label());
            let ended: u64 = Outcome::ALL.iter().map(|outcome| series.count(*outcome)).sum();
            assert_eq!(series.received.get(), ended, "received = outcomes on {}", carrier.label());
        }
        assert_eq!(self.metrics.bytes_in_flight.get(), 0, "budget given back");
    }

    pub(super) fn count(&self, carrier: Carrier, outcome: Outcome) -> u64 {
        self.metrics.carrier(carrier).count(outcome)
    }
}

/// The defaults, but that everybody is asked to leave at once.
fn at_once() -> Config {
    let mut config = Config::default();
    config.shutdown.spread_ms = 0;
    config
}

impl HeldSink {
    /// The values held, in order.
    pub(super) fn values(&self) -> Vec<String> {
        self.held.lock().unwrap().iter().map(|(value, ..)| value.clone()).collect()
    }

    /// Waits until `count` records are held.
    pub(super) async fn holds(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.held.lock().unwrap().len() >= count {
                return;
            }
            changed.await;
        }
    }

    /// Commits the first `count` records held.
    pub(super) fn commit(&self, count: usize) {
        let held: Vec<_> = self.held.lock().unwrap().drain(..count).collect();
        held.iter().for_each(|(_, _, ticket)| ticket.committed(1));
    }

    /// Commits the last `count` records held.
    pub(super) fn commit_last(&self, count: usize) {
        let mut held = self.held.lock().unwrap();
        let first = held.len() - count;
        let last: Vec<_> = held.drain(first..).collect();
        drop(held);
        last.iter().for_each(|(_, _, ticket)| ticket.committed(1));
    }

    /// Refuses the first record held for good.
    pub(super) fn refuse(&self, message: &str) {
        let (_, index, ticket) = self.held.lock().unwrap().remove(0);
        ticket.refused(index, Outcome::BrokerRejected, message.to_owned());
    }

    /// Drops everything without a verdict.
    pub(super) fn lose(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        held.iter().for_each(|(_, _, ticket)| ticket.lost(1));
    }

    /// Sets how many more records are taken.
    pub(super) fn set_room(&self, room: usize) {
        *self.room.lock().unwrap() = room;
        self.changed.notify_waiters();
    }
}

impl Sink for HeldSink {
    fn level(&self) -> Level {
        Level::Committed
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let mut room = self.room.lock().unwrap();
        let mut held = self.held.lock().unwrap();
        let mut taken = 0;
        for record in records.iter_from(from).take(*room) {
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
            held.push((value, record.index, ticket.clone()));
            taken += 1;
        }
        *room -= taken;
        self.changed.notify_waiters();
        taken
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(async {
            loop {
                let changed = self.changed.notified();
                if *self.room.lock().unwrap() > 0 {
                    return;
                }
                changed.await;
            }
        })
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }

    fn drain(&self, _deadline: Duration) -> Pending<'_, ()> {
        Box::pin(async {})
    }
}

/// One client's end of a link.
pub(super) struct Client {
    ends: MemoryClient,
    coding: Coding,
    unread: Vec<GatewayFrame>,
}

impl Client {
    pub(super) async fn send(&mut self, frame: &ClientFrame<'_>) {
        let packet = match self.coding {
            Coding::Binary => {
                let mut bytes = Vec::new();
                frame.to_binary(&mut bytes);
                Packet::Frames(bytes.into())
            }
            Coding::Json | Coding::CloudEvents => Packet::Text(frame.to_json().unwrap().into()),
        };
        self.packet(packet).await;
    }

    pub(super) async fn packet(&mut self, packet: Packet) {
        self.ends.packets.send(packet).await.unwrap();
    }

    /// Sends `payloads` as whole events, numbered from `first_seq`.
    pub(super) async fn events(&mut self, first_seq: u64, payloads: &[&str]) {
        self.packet(Packet::Frames(events(first_seq, false, payloads))).await;
    }

    /// Sends `count` good events.
    pub(super) async fn good(&mut self, first_seq: u64, count: usize) {
        self.events(first_seq, &vec![r#"{"type":"t"}"#; count]).await;
    }

    /// Ends the client's stream.
    pub(super) fn finish(&mut self) {
        let (unused, _) = tokio::sync::mpsc::channel(1);
        self.ends.packets = unused;
    }

    /// The next frame, signs of life left out.
    pub(super) async fn next(&mut self) -> Option<GatewayFrame> {
        loop {
            if self.unread.is_empty() {
                let bytes = self.ends.frames.recv().await?;
                self.unread = decode(&bytes, self.coding);
            }
            match self.unread.remove(0) {
                GatewayFrame::Ping(_) => {}
                frame => return Some(frame),
            }
        }
    }

    pub(super) async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Some(GatewayFrame::Welcome(welcome)) => *welcome,
            other => panic!("expected WELCOME, got {other:?}"),
        }
    }

    pub(super) async fn ack(&mut self) -> Ack {
        match self.next().await {
            Some(GatewayFrame::Ack(ack)) => ack,
            other => panic!("expected ACK, got {other:?}"),
        }
    }

    /// Acknowledgements until one reaches `upto`: that one, and all that was listed on the way.
    pub(super) async fn acked(&mut self, upto: u64) -> Ack {
        let mut list = Vec::new();
        loop {
            let mut ack = self.ack().await;
            list.append(&mut ack.list);
            if ack.upto >= upto {
                return Ack { list, ..ack };
            }
        }
    }

    /// CLOSE, whatever comes before it, and how the link was closed after it.
    pub(super) async fn closed(mut self) -> Close {
        let mut last = None;
        while let Some(frame) = self.next().await {
            last = Some(frame);
        }
        let Some(GatewayFrame::Close(close)) = last else { panic!("expected CLOSE, got {last:?}") };
        assert_eq!(self.ends.closed.await.unwrap().0, close.code, "the link's code repeats the frame's");
        close
    }

    /// The code of the CLOSE that comes.
    pub(super) async fn close_code(self) -> CloseCode {
        self.closed().await.code
    }
}

/// An EVENTS frame of whole events.
pub(super) fn events(first_seq: u64, lossy: bool, payloads: &[&str]) -> Bytes {
    let mut writer = BatchWriter::default();
    for payload in payloads {
        writer.structured(payload.as_bytes());
    }
    let mut bytes = Vec::new();
    writer.finish(first_seq, lossy, None, &mut bytes).unwrap();
    bytes.into()
}

fn decode(bytes: &[u8], coding: Coding) -> Vec<GatewayFrame> {
    match coding {
        Coding::Binary => Frames::new(bytes, &Limits::default())
            .filter_map(|frame| GatewayFrame::from_binary(frame.unwrap()).unwrap())
            .collect(),
        Coding::Json | Coding::CloudEvents => {
            vec![GatewayFrame::from_json(std::str::from_utf8(bytes).unwrap()).unwrap().unwrap()]
        }
    }
}
