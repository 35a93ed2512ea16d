//! What sessions and the writer share: the group of records that is next, and whether more are taken.

mod take;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_wire::Reason;
use tokio::sync::Notify;

pub(in crate::deliver) use self::take::Taken;

use super::segment::HEADER_BYTES;
use crate::deliver::Health;
use crate::deliver::bell::Bell;
use crate::ticket::Ticket;

/// Records wait in a group of at most this size; there are two, one filling and one being written.
const GROUP_BYTES: usize = 8 << 20;
/// Both groups may begin a segment each.
const HEADERS_BYTES: u64 = 2 * HEADER_BYTES;

/// Tickets, and how many events of each are in a group.
pub(super) type Tickets = Vec<(Ticket, u32)>;

/// The state shared by sessions, which fill groups, and the writer, which empties them.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes sessions that wait for room.
    room: Notify,
    /// Wakes a drain.
    finished: Notify,
    /// Wakes who waits for what was taken to settle.
    told: Notify,
    /// Rung when more is durable, and when there is room again.
    bell: Arc<Bell>,
    /// Whether [`Shared::health`] has to look closer.
    away: AtomicBool,
    bytes_max: u64,
}

#[derive(Default)]
struct State {
    /// The sequence of the next record that is taken; as the writer gives them, in the order they are taken.
    next: u64,
    /// Records before it are durable.
    durable: u64,
    /// The tickets of records before it are settled.
    told: u64,
    /// Records before it are not needed any more: their segments may be deleted. None where nothing forwards them.
    released: Option<u64>,
    /// Where the oldest segment ends, for it is the next to be deleted.
    oldest_end: u64,
    /// Whether the writer should look for segments to delete.
    untidy: bool,
    filling: Vec<u8>,
    filling_tickets: Tickets,
    /// Here rather than with the writer, so that a drain can give them up while a disk hangs.
    writing_tickets: Tickets,
    writing_bytes: u64,
    /// On disk, without the rest of a preallocated segment.
    stored_bytes: u64,
    group_is_full: bool,
    /// The log is at its cap: what the record needs that was not taken.
    at_cap: Option<u64>,
    /// Writing fails: the sentence for the operator.
    trouble: Option<String>,
    writer_waits: bool,
    phase: Phase,
}

/// From open to ended, never back.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    #[default]
    Open,
    /// Nothing more is taken; what was is written.
    Closing,
    /// As closing, and what fails is not tried again.
    GivingUp,
    /// The writer has ended.
    Finished,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("filling_bytes", &self.filling.len()).finish_non_exhaustive()
    }
}

impl State {
    fn takes(&self) -> bool {
        self.phase == Phase::Open && !self.group_is_full && self.at_cap.is_none() && self.trouble.is_none()
    }

    fn free_bytes(&self, bytes_max: u64) -> u64 {
        let held = self.stored_bytes + self.writing_bytes + self.filling.len() as u64 + HEADERS_BYTES;
        bytes_max.saturating_sub(held)
    }
}

/// What the writer does next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// Write the group it was given.
    Write,
    /// Delete segments that are not needed any more, and look whether some were moved away.
    Tidy,
    /// Finish: nothing is left and nothing will come.
    Finish,
}

impl Shared {
    /// For a log of at most `bytes_max` bytes, whose next record has the sequence `next`.
    pub(super) fn new(bytes_max: u64, next: u64) -> Self {
        let state = State { next, durable: next, told: next, oldest_end: u64::MAX, ..State::default() };
        Self {
            state: Mutex::new(state),
            bell: Arc::default(),
            work: Condvar::new(),
            room: Notify::new(),
            finished: Notify::new(),
            told: Notify::new(),
            away: AtomicBool::new(false),
            bytes_max,
        }
    }

    /// Waits for work, at most `patience` and less at the cap. Of a group, `bytes`, which must be empty, gets the
    /// records.
    pub(super) fn next(&self, bytes: &mut Vec<u8>, at_cap_every: Duration, patience: Duration) -> Work {
        let mut state = self.lock();
        loop {
            // First, since under load there is always a group.
            if mem::take(&mut state.untidy) {
                return Work::Tidy;
            }
            if !state.filling.is_empty() {
                mem::swap(&mut state.filling, bytes);
                state.writing_bytes = bytes.len() as u64;
                let state = &mut *state;
                mem::swap(&mut state.filling_tickets, &mut state.writing_tickets);
                if mem::take(&mut state.group_is_full) {
                    self.room.notify_waiters();
                }
                return Work::Write;
            }
            if state.phase > Phase::Open {
                return Work::Finish;
            }
            state.writer_waits = true;
            let patience = if state.at_cap.is_some() { at_cap_every } else { patience };
            let (woken, timeout) =
                self.work.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && state.filling.is_empty() {
                return Work::Tidy;
            }
        }
    }

    /// The group was written: the log now holds `stored_bytes`, and everything before `durable`. Moves its tickets into
    /// `tickets`, to be settled.
    pub(super) fn written(&self, stored_bytes: u64, durable: u64, tickets: &mut Tickets) {
        let mut state = self.lock();
        state.durable = durable;
        mem::swap(&mut state.writing_tickets, tickets);
        state.writing_bytes = 0;
        state.trouble = None;
        self.recounted_in(state, stored_bytes);
    }

    /// The tickets of everything before `sequence` are settled.
    pub(super) fn told(&self, sequence: u64) {
        self.lock().told = sequence;
        self.told.notify_waiters();
    }

    /// Resolves once the tickets of everything before `sequence` are settled. Cancel safe.
    pub(super) async fn settled(&self, sequence: u64) {
        wait(&self.told, || self.lock().told >= sequence).await;
    }

    /// The log was found to hold `stored_bytes`.
    pub(super) fn recounted(&self, stored_bytes: u64) {
        self.recounted_in(self.lock(), stored_bytes);
    }

    fn recounted_in(&self, mut state: MutexGuard<'_, State>, stored_bytes: u64) {
        state.stored_bytes = stored_bytes;
        let free_bytes = state.free_bytes(self.bytes_max);
        state.at_cap = state.at_cap.filter(|needed| *needed > free_bytes);
        let away = state.at_cap.is_some() || state.trouble.is_some();
        if self.away.swap(away, Ordering::AcqRel) && !away {
            self.room.notify_waiters();
        }
        drop(state);
        self.bell.ring();
    }

    /// The oldest segment ends before the record `end`.
    pub(super) fn oldest_ends(&self, end: u64) {
        self.lock().oldest_end = end;
    }

    /// Records before `sequence` are not needed any more.
    pub(super) fn release(&self, sequence: u64) {
        let mut state = self.lock();
        state.released = state.released.max(Some(sequence));
        if state.released >= Some(state.oldest_end) || state.at_cap.is_some() || state.trouble.is_some() {
            state.untidy = true;
            state.writer_waits = false;
            drop(state);
            self.work.notify_one();
        }
    }

    /// Records before it are not needed any more.
    pub(super) fn released(&self) -> u64 {
        self.lock().released.unwrap_or(0)
    }

    /// Whether what the log holds goes elsewhere.
    pub(super) fn is_forwarded(&self) -> bool {
        self.lock().released.is_some()
    }

    /// The sequence of the next record that is taken, and of the first that is not durable.
    pub(super) fn ends(&self) -> (u64, u64) {
        let state = self.lock();
        (state.next, state.durable)
    }

    /// See [`Shared::bell`].
    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Writing fails: nothing more is taken until [`Shared::written`].
    pub(super) fn failed(&self, sentence: String) {
        let mut state = self.lock();
        state.trouble = Some(sentence);
        self.away.store(true, Ordering::Release);
    }

    /// Waits before the next attempt; whether there should be one.
    pub(super) fn pause(&self, delay: Duration) -> bool {
        let state = self.lock();
        let paused = self.work.wait_timeout_while(state, delay, |state| state.phase < Phase::GivingUp);
        paused.unwrap_or_else(PoisonError::into_inner).0.phase < Phase::GivingUp
    }

    /// Gives up the group that could not be written; its events are lost unless they were already.
    pub(super) fn lose(&self) {
        let mut state = self.lock();
        state.writing_bytes = 0;
        let lost = mem::take(&mut state.writing_tickets);
        drop(state);
        drop(lost);
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.enter(Phase::Closing);
    }

    /// Takes nothing more and tries nothing again.
    pub(super) fn give_up(&self) {
        self.enter(Phase::GivingUp);
    }

    /// Drops all tickets that are not settled. What they stand for may still become durable.
    pub(super) fn drop_tickets(&self) {
        let mut state = self.lock();
        let lost = (mem::take(&mut state.filling_tickets), mem::take(&mut state.writing_tickets));
        drop(state);
        drop(lost);
    }

    /// The writer has ended: nothing is taken and what is left will not become durable.
    pub(super) fn finish(&self) {
        self.away.store(true, Ordering::Release);
        self.enter(Phase::Finished);
        self.drop_tickets();
        self.finished.notify_waiters();
    }

    /// Resolves when records may be taken. Cancel safe.
    pub(super) async fn room(&self) {
        wait(&self.room, || self.lock().takes()).await;
    }

    /// Resolves when the writer has ended. Cancel safe.
    pub(super) async fn finished(&self) {
        wait(&self.finished, || self.lock().phase == Phase::Finished).await;
    }

    /// See [`crate::deliver::Sink::health`].
    pub(super) fn health(&self, cap_sentence: impl FnOnce(bool) -> String) -> Health {
        if !self.away.load(Ordering::Acquire) {
            return Health::Ready;
        }
        let state = self.lock();
        let detail = match (&state.trouble, state.at_cap) {
            (Some(sentence), _) => sentence.clone(),
            (None, Some(_)) => cap_sentence(state.released.is_some()),
            (None, None) if state.phase == Phase::Finished => "the log is closed".to_owned(),
            (None, None) => return Health::Ready,
        };
        Health::Away { reason: Reason::Full, detail }
    }

    /// Whether a record was turned away for want of room in the log.
    pub(super) fn is_at_cap(&self) -> bool {
        self.lock().at_cap.is_some()
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
        drop(state);
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `holds`, looking again at each notification.
async fn wait(notify: &Notify, holds: impl Fn() -> bool) {
    loop {
        let mut notified = std::pin::pin!(notify.notified());
        // Registered before looking, so that a change in between is not missed.
        notified.as_mut().enable();
        if holds() {
            return;
        }
        notified.await;
    }
}
