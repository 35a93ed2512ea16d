//! What Kafka was given and has not acknowledged: kept here too, in order, for the log.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deliver::Sink;
use crate::deliver::bell::Bell;
use crate::deliver::forward::{Forwarder, Verdict};
use crate::deliver::log::Log;
use crate::record::Records;
use crate::ticket::{Settled, Settlement, Ticket};

/// The frames that Kafka has, by the order in which it got them.
pub(super) struct Direct {
    frames: Mutex<Frames>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Frames {
    next: u64,
    by_order: BTreeMap<u64, Arc<Frame>>,
}

/// Records that were given to Kafka together.
pub(super) struct Frame {
    order: u64,
    state: Mutex<State>,
    verdict: Arc<Verdict>,
}

enum State {
    /// Its client hears from Kafka. The records are there once it is known how many Kafka took.
    Direct { records: Records, ticket: Ticket },
    /// Its client hears from the log, which has `taken` of the records.
    Copying { records: Records, ticket: Ticket, taken: usize },
    /// There is nobody left to tell.
    Over,
}

/// Hears from Kafka.
struct Relay {
    direct: Arc<Direct>,
    frame: Arc<Frame>,
}

impl Direct {
    /// `bell` rings when Kafka's verdict on something copied is known.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { frames: Mutex::default(), bell }
    }

    /// As [`Sink::submit`] of Kafka. Must not be called at the same time as [`Direct::outstanding`].
    pub(super) fn submit(
        self: &Arc<Self>,
        kafka: &dyn Sink,
        records: &Records,
        from: usize,
        ticket: &Ticket,
    ) -> usize {
        let count = records.len().saturating_sub(from);
        if count == 0 {
            return 0;
        }
        let frame = self.enter(ticket.clone());
        let relay = Relay { direct: Arc::clone(self), frame: Arc::clone(&frame) };
        let relayed = Ticket::new(u32::try_from(count).unwrap_or(u32::MAX), Box::new(relay));
        let taken = kafka.submit(records, from, &relayed);
        if taken < count {
            // They are not Kafka's, and nobody is told of them.
            relayed.dropped(u32::try_from(count - taken).unwrap_or(u32::MAX));
        }
        if let State::Direct { records: kept, .. } = &mut *frame.lock() {
            *kept = records.copy(from, taken);
        }
        taken
    }

    /// What Kafka has not acknowledged, in order.
    pub(super) fn outstanding(&self) -> VecDeque<Arc<Frame>> {
        mem::take(&mut self.lock().by_order).into_values().collect()
    }

    fn enter(&self, ticket: Ticket) -> Arc<Frame> {
        let mut frames = self.lock();
        let order = frames.next;
        frames.next += 1;
        let state = Mutex::new(State::Direct { records: Records::default(), ticket });
        let frame = Arc::new(Frame { order, state, verdict: Arc::default() });
        frames.by_order.insert(order, Arc::clone(&frame));
        frame
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frame {
    /// Gives to the log what it has room for, and from then on it is the log that tells the client; whether that was all.
    pub(super) fn copy(&self, log: &Log, forwarder: &mut Forwarder) -> bool {
        let mut state = self.lock();
        *state = match mem::replace(&mut *state, State::Over) {
            State::Direct { records, ticket } => State::Copying { records, ticket, taken: 0 },
            state => state,
        };
        let State::Copying { records, ticket, taken } = &mut *state else { return true };
        let copied = log.take(records, *taken, ticket);
        let indexes: Vec<u32> =
            records.iter_from(*taken).take(copied.count).map(|record| record.index).collect();
        *taken += copied.count;
        // Of those that the log cannot hold, which are very rare, nothing says which they are.
        let is_clear = copied.sequences.end - copied.sequences.start == indexes.len() as u64;
        let indexes = if is_clear { indexes } else { Vec::new() };
        forwarder.was_given(copied.sequences, indexes, Arc::clone(&self.verdict));
        if *taken < records.len() {
            return false;
        }
        *state = State::Over;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settled for Relay {
    fn is_owed(&self) -> bool {
        // Its client hears from the log, or has.
        !matches!(*self.frame.lock(), State::Direct { .. })
    }

    fn settled(self: Box<Self>, frame: Settlement) {
        self.direct.lock().by_order.remove(&self.frame.order);
        let mut state = self.frame.lock();
        let State::Direct { .. } = *state else {
            drop(state);
            self.frame.verdict.tell(&frame);
            return self.direct.bell.ring();
        };
        let State::Direct { ticket, .. } = mem::replace(&mut *state, State::Over) else { return };
        drop(state);
        for refused in frame.refused {
            ticket.refused(refused.index, refused.outcome, refused.message);
        }
        if frame.lost > 0 {
            ticket.lost(frame.lost);
        }
        if frame.committed > 0 {
            ticket.committed(frame.committed);
        }
    }
}
