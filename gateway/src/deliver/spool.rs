//! The mode `spool`: the log acknowledges, and is forwarded to Kafka.

use std::sync::Arc;
use std::time::Duration;

use tidegate_wire::Level;
use tokio::time::Instant;

use super::forward::{Alone, Forwarder, Forwarding, Standing};
use super::log::{Log, LogError};
use super::{Health, Pending, Sink};
use crate::metrics::ForwardSeries;
use crate::record::Records;
use crate::ticket::Ticket;

/// The log as a destination that a thread forwards to Kafka. Kafka being away holds nobody back until the log is full.
pub struct Spool {
    log: Arc<Log>,
    kafka: Arc<dyn Sink>,
    forwarding: Forwarding,
    standing: Standing,
}

impl Spool {
    /// Begins to forward what `log` holds.
    pub fn new(log: Log, kafka: Arc<dyn Sink>, series: ForwardSeries) -> Result<Self, LogError> {
        let log = Arc::new(log);
        let forwarder = Forwarder::new(Arc::clone(&log), Arc::clone(&kafka), series)?;
        let standing = forwarder.standing();
        let forwarding = Forwarding::start(forwarder, Alone)
            .map_err(LogError::io("start a thread to forward", log.directory()))?;
        Ok(Self { log, kafka, forwarding, standing })
    }
}

impl Sink for Spool {
    fn level(&self) -> Level {
        Level::Stored
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        self.log.submit(records, from, ticket)
    }

    fn room(&self) -> Pending<'_, ()> {
        self.log.room()
    }

    fn health(&self) -> Health {
        self.log.health()
    }

    fn note(&self) -> Option<String> {
        self.standing.note(&*self.kafka)
    }

    fn drain(&self, deadline: Duration) -> Pending<'_, ()> {
        Box::pin(drain(&self.log, &*self.kafka, &self.forwarding, deadline))
    }
}

/// Has the log write what it was given, and then Kafka acknowledge what it was, as far as there is time and Kafka is
/// there. What Kafka does not have by then is forwarded after the next start.
pub(super) async fn drain(log: &Log, kafka: &dyn Sink, forwarding: &Forwarding, deadline: Duration) {
    let deadline = Instant::now() + deadline;
    let left = || deadline.saturating_duration_since(Instant::now());
    log.drain(left()).await;
    forwarding.close();
    let is_away = matches!(kafka.health(), Health::Away { .. });
    let patience = if is_away { Duration::ZERO } else { left() };
    kafka.drain(patience).await;
    forwarding.ended(left()).await;
}
