//! `send()` and forget, as the contract promises it: keeps every event until it is acknowledged, over any number of
//! connections.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_wire::{Code, GatewayFrame};
use tokio::sync::watch;

use super::{Carrier, Client, LinkError, hello};
use crate::gateway::Gateway;

/// Events of one client, sent in order, each until it is settled.
pub struct Sender<'a> {
    pub name: String,
    events: &'a [Vec<u8>],
    batch: usize,
    /// Everything up to here is settled.
    pub upto: u64,
    /// The highest number sent in any connection.
    pub highest: u64,
    /// Events it has unsettled at most, whatever its credit.
    pub window: u64,
    /// How long it rests before it sends what has become possible, to put no more load on a gateway than wanted.
    pub pause: Duration,
    /// The highest number sent in this connection.
    sent: u64,
    sent_bytes: u64,
    limit: u64,
    limit_bytes: u64,
    is_leaving: bool,
    /// `upto` for whoever watches.
    pub progress: watch::Sender<u64>,
    /// Refused events by their number.
    pub refused: BTreeMap<u64, Code>,
}

impl<'a> Sender<'a> {
    /// A client that will send `events` numbered from 1, `batch` to a frame.
    pub fn new(name: &str, events: &'a [Vec<u8>], batch: usize) -> Self {
        Self {
            name: name.to_owned(),
            events,
            batch,
            upto: 0,
            highest: 0,
            window: u64::MAX,
            pause: Duration::ZERO,
            sent: 0,
            sent_bytes: 0,
            limit: 0,
            limit_bytes: 0,
            is_leaving: false,
            progress: watch::Sender::new(0),
            refused: BTreeMap::new(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.upto >= self.events.len() as u64
    }

    /// Connects, and sends until at least `until` numbers are settled, or everything is. Breaks off without a word
    /// then; the frame or two that were sent beyond stay for the next connection to settle.
    pub async fn run(&mut self, gateway: &Gateway, carrier: Carrier, until: u64) -> Result<(), LinkError> {
        let mut client = Client::try_open(gateway, carrier, hello(&self.name, self.upto + 1)).await?;
        let welcome = &client.welcome;
        for rejection in &welcome.rej {
            self.refused.insert(rejection.seq, rejection.code);
        }
        (self.upto, self.sent, self.sent_bytes) = (welcome.upto, welcome.upto, 0);
        (self.limit, self.limit_bytes, self.is_leaving) = (welcome.limit, welcome.limit_bytes, false);
        let until = until.min(self.events.len() as u64);
        while self.upto < until {
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
            self.send_what_credit_allows(&mut client, until).await?;
            match client.next().await? {
                GatewayFrame::Ack(ack) => {
                    assert!(ack.upto >= self.upto, "acknowledgements never go back");
                    self.upto = ack.upto;
                    if !self.is_leaving {
                        (self.limit, self.limit_bytes) = (ack.limit, ack.limit_bytes);
                    }
                    self.progress.send_replace(self.upto);
                    for rejection in ack.list {
                        self.refused.insert(rejection.seq, rejection.code);
                    }
                }
                // Asked to leave: nothing more is sent, and the gateway closes when the rest has settled.
                GatewayFrame::Goaway(_) => (self.is_leaving, self.limit) = (true, self.sent),
                GatewayFrame::Pong(_) => {}
                GatewayFrame::Close(close) => return Err(format!("closed: {close:?}").into()),
                other => return Err(format!("unexpected {other:?}").into()),
            }
        }
        if self.is_done() {
            client.done().await;
        } else {
            client.vanish();
        }
        Ok(())
    }

    async fn send_what_credit_allows(&mut self, client: &mut Client, until: u64) -> Result<(), LinkError> {
        let beyond = until.saturating_add(2 * self.batch as u64);
        loop {
            let allowed = self.limit.min(beyond).min(self.upto.saturating_add(self.window));
            let room = usize::try_from(allowed.saturating_sub(self.sent)).unwrap();
            let from = usize::try_from(self.sent).unwrap();
            let next: Vec<_> = self.events.iter().skip(from).take(room.min(self.batch)).collect();
            let bytes: u64 = next.iter().map(|event| event.len() as u64).sum();
            if next.is_empty() || self.sent_bytes + bytes > self.limit_bytes && self.sent > self.upto {
                return Ok(());
            }
            // From here on it may arrive, also if the connection breaks before it is written.
            let first = self.sent + 1;
            self.sent += next.len() as u64;
            self.highest = self.highest.max(self.sent);
            client.events(first, &next).await?;
            self.sent_bytes += bytes;
        }
    }
}
