//! One numbering, (tenant, client, epoch), over all the connections that carry it: the window, the credit of
//! the connection that has it now, and who is woken when something settles.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_wire::Level;
use tokio::sync::OwnedMutexGuard;

use super::budget::{Account, Budget};
use super::credit::{self, Amount, Credit, Windows};
use super::hold::Connection;
use super::window::{Admission, FrameId, Refusal, Settled, Window};
use crate::pipeline::Origin;

/// The numberings of this process so far.
static NUMBERINGS: AtomicU64 = AtomicU64::new(0);

/// Refusals kept for resuming over all numberings; past it each forgets its own oldest first.
const KEPT_REFUSALS_OVERALL: usize = 200_000;
/// What a numbering may always keep.
const KEPT_REFUSALS_EACH: usize = 16;

/// How far a connection may send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Limit {
    /// The highest number.
    pub(super) seq: u64,
    /// Payload bytes since the connection began.
    pub(super) bytes: u64,
}

/// Where a client continues: all of one moment.
#[derive(Debug)]
pub(super) struct Resumed {
    /// Everything up to here is settled.
    pub(super) upto: u64,
    /// Numbers given up.
    pub(super) abandoned: u64,
    /// The refusals still known up to `upto`.
    pub(super) refusals: Vec<Refusal>,
    /// Whether older ones are forgotten.
    pub(super) forgotten: bool,
}

/// How much of its credit a connection has used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts of one moment, each asked for by itself")]
pub(super) struct Used {
    /// To the last event or byte.
    pub(super) up: bool,
    /// More than it had, or more bad events than have been answered.
    pub(super) over: bool,
    /// It would have more if there were more memory.
    pub(super) is_cut: bool,
    /// The rates hold it back and have left it nothing: no events of it are taken until they let go.
    pub(super) is_barred: bool,
}

/// What there is to tell a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Standing {
    /// Numbers settled and not told.
    pub(super) untold: u64,
    /// Events received and not settled.
    pub(super) in_flight: u64,
    /// Whether memory kept the credit from being renewed in full the last time.
    pub(super) is_cut: bool,
}

/// A frame whose events have all ended.
#[derive(Debug)]
pub(super) struct SettledFrame {
    pub(super) frame: FrameId,
    /// Of its payloads.
    pub(super) bytes: u64,
    /// Of the budget, until now.
    pub(super) cost_bytes: u64,
    /// For the end of a window, which says nothing of how soon the destination settles.
    pub(super) has_waited: bool,
    pub(super) level: Option<Level>,
    /// In order of their numbers.
    pub(super) refusals: Vec<Refusal>,
}

/// How numbers of a numbering are named in events.
#[derive(Debug)]
pub(super) struct Names {
    /// `<client>-<epoch>-` or `<session>-`; the number follows.
    pub(super) id_prefix: String,
    /// `/<tenant>/<client>`.
    pub(super) source: String,
    /// The client, or the session of an anonymous one.
    pub(super) key: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Numbering {
    pub(super) epoch: u64,
    pub(super) names: Names,
    /// Its events are acknowledged in their order; those of no other are.
    pub(super) origin: Origin,
    /// What it holds of the budget, over all its connections.
    pub(super) account: Arc<Account>,
    budget: Budget,
    windows: Windows,
    kept_overall: Arc<AtomicUsize>,
    state: Mutex<State>,
    /// Held from a frame's admission until the destination has all of it, so that frames go in their order, whichever
    /// connection brought them.
    turn: Arc<Turn>,
}

/// See [`Numbering::turn`].
type Turn = tokio::sync::Mutex<()>;

#[derive(Debug)]
struct State {
    window: Window,
    connection: Arc<Connection>,
    /// Payload bytes of this connection: sent, and of those the settled ones.
    sent_bytes: u64,
    settled_bytes: u64,
    credit: Credit,
    is_cut: bool,
    /// How far the connection may send: it never falls while the connection lasts.
    granted: Limit,
    is_broken: bool,
}

impl Numbering {
    pub(super) fn new(
        epoch: u64,
        next: u64,
        names: Names,
        (windows, budget): (Windows, Budget),
        kept_overall: Arc<AtomicUsize>,
    ) -> Self {
        Self::over(Window::starting_at(next), epoch, names, (windows, budget), kept_overall)
    }

    /// A numbering that continues where `window` is.
    pub(super) fn over(
        window: Window,
        epoch: u64,
        names: Names,
        (windows, budget): (Windows, Budget),
        kept_overall: Arc<AtomicUsize>,
    ) -> Self {
        kept_overall.fetch_add(window.kept_refusals(), Ordering::Relaxed);
        let state = State {
            window,
            connection: Arc::default(),
            sent_bytes: 0,
            settled_bytes: 0,
            credit: Credit::new(windows),
            is_cut: false,
            granted: Limit::default(),
            is_broken: false,
        };
        let account = Arc::default();
        Self {
            epoch,
            names,
            origin: Origin(NUMBERINGS.fetch_add(1, Ordering::Relaxed)),
            account,
            budget,
            windows,
            kept_overall,
            state: Mutex::new(state),
            turn: Arc::default(),
        }
    }

    /// The turn to hand over a frame; fair. Cancel safe.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// The same, if nobody has it.
    pub(super) fn try_turn(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    /// Makes `connection` the one that this numbering belongs to; the one before learns that it has lost it.
    pub(super) fn attach(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.connection, Arc::clone(connection));
        state.sent_bytes = 0;
        state.settled_bytes = 0;
        // Who begins held back has no credit yet, and its numbers go on from where they are.
        state.granted = Limit { seq: state.window.upto(), bytes: 0 };
        state.credit = Credit::new(self.windows);
        state.is_cut = false;
        before.taken_over.cancel();
        // What was lost since somebody looked is this connection's to hear of.
        if state.is_broken {
            connection.broken.cancel();
        }
    }

    /// Whether the numbering belongs to `connection`.
    pub(super) fn is_of(&self, connection: &Arc<Connection>) -> bool {
        Arc::ptr_eq(&self.lock().connection, connection)
    }

    /// The connection that the numbering belongs to.
    #[cfg(test)]
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.lock().connection)
    }

    /// Tells the connection that has the numbering that it is another's now.
    pub(super) fn take_over(&self) {
        self.lock().connection.taken_over.cancel();
    }

    /// Takes a frame's numbers, or `None` when the numbering is another connection's, or broken.
    pub(super) fn admit(
        &self,
        connection: &Arc<Connection>,
        first: u64,
        count: u32,
        bytes: u64,
    ) -> Option<Admission> {
        let mut state = self.lock();
        if state.is_broken || !Arc::ptr_eq(&state.connection, connection) {
            return None;
        }
        state.sent_bytes += bytes;
        let admission = state.window.admit(first, count);
        if admission.frame.is_none() {
            state.settled_bytes += bytes;
        } else {
            let under_way = state.under_way();
            state.credit.sent(under_way, self.budget.share(), super::now());
        }
        Some(admission)
    }

    /// Settles a frame that `connection` brought, and wakes whoever has the numbering now.
    pub(super) fn settle(&self, connection: &Arc<Connection>, settled: SettledFrame) {
        let SettledFrame { frame, bytes, cost_bytes, has_waited, level, refusals } = settled;
        let mut state = self.lock();
        let before = state.window.kept_refusals();
        let events = state.window.settle(frame, level, refusals);
        self.count_kept(&mut state.window, before);
        if Arc::ptr_eq(&state.connection, connection) {
            state.settled_bytes += bytes;
            let amount = Amount { events: events.into(), bytes };
            if has_waited {
                state.credit.waited();
            }
            let (upto, received) = (state.window.upto(), state.window.received());
            state.credit.settled(amount, cost_bytes, (upto, received), self.budget.share(), super::now());
        }
        let connection = Arc::clone(&state.connection);
        drop(state);
        connection.settled.notify_one();
        connection.credit.notify_one();
    }

    /// Says that events of this numbering were lost: what comes after them can never be acknowledged here.
    pub(super) fn break_off(&self) {
        let mut state = self.lock();
        state.is_broken = true;
        state.connection.broken.cancel();
        state.connection.settled.notify_one();
    }

    /// Whether events were lost.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// Continues for a client whose lowest unacknowledged number is `next`.
    pub(super) fn resume(&self, next: u64) -> Resumed {
        let mut state = self.lock();
        let (abandoned, refusals, forgotten) = state.window.resume(next);
        state.granted.seq = state.granted.seq.max(state.window.upto());
        Resumed { upto: state.window.upto(), abandoned, refusals, forgotten }
    }

    /// How far it is settled, with the refusals still known up to there, and up to where some are forgotten.
    pub(super) fn settled_so_far(&self) -> (u64, Vec<Refusal>, u64) {
        let state = self.lock();
        (state.window.upto(), state.window.refusals_from(0), state.window.forgotten_upto())
    }

    /// How far the connection may send.
    pub(super) fn limit(&self) -> Limit {
        self.lock().limit(&self.budget)
    }

    /// How much of its credit the connection has used.
    pub(super) fn credit_used(&self) -> Used {
        let mut state = self.lock();
        let limit = state.limit(&self.budget);
        let received = state.window.received();
        // With nothing unsettled a client may always send one event, whatever its size; but not one after the other
        // while its credit is held back.
        let is_held_back = state.connection.held_back().is_some();
        let unsettled = state.window.in_flight() > 0 || is_held_back;
        let is_spent = received >= limit.seq || state.sent_bytes >= limit.bytes;
        Used {
            up: unsettled && is_spent,
            over: unsettled && (received > limit.seq || state.sent_bytes > limit.bytes)
                || state.window.is_full_of_refusals(),
            is_cut: state.is_cut,
            is_barred: is_held_back && is_spent,
        }
    }

    /// Whether more than half of the credit is in use: what waits for company should wait no longer. Credit in events
    /// counts from `upto`, so what has settled behind an open window uses it too.
    pub(super) fn is_pressed(&self) -> bool {
        let state = self.lock();
        let window = state.connection.bounded(state.credit.window(self.budget.share()));
        let events = state.window.received().saturating_sub(state.window.upto());
        credit::is_more_than_half(Amount { events, ..state.under_way() }, window)
    }

    /// The highest number received or given up.
    pub(super) fn received(&self) -> u64 {
        self.lock().window.received()
    }

    /// Everything up to here is settled.
    pub(super) fn upto(&self) -> u64 {
        self.lock().window.upto()
    }

    /// Events received and not settled.
    pub(super) fn in_flight(&self) -> u64 {
        self.lock().window.in_flight()
    }

    /// What there is to tell the client.
    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        let (untold, in_flight) = (state.window.untold(), state.window.in_flight());
        Standing { untold, in_flight, is_cut: state.is_cut && in_flight > 0 }
    }

    /// What the next ACK says, or `None` when it is another connection's to say.
    pub(super) fn take_settled(&self, connection: &Arc<Connection>) -> Option<(Settled, Limit)> {
        let mut state = self.lock();
        if !Arc::ptr_eq(&state.connection, connection) {
            return None;
        }
        let settled = state.window.take_settled();
        connection.credit.notify_one();
        let limit = state.limit(&self.budget);
        // Said anew with each ACK and not in between, so that it does not change with every frame of others.
        state.is_cut = state.credit.is_cut(state.under_way(), self.budget.share());
        Some((settled, limit))
    }

    /// The refusals still known of numbers from `first` on.
    pub(super) fn refusals_from(&self, first: u64) -> Vec<Refusal> {
        self.lock().window.refusals_from(first)
    }

    fn count_kept(&self, window: &mut Window, before: usize) {
        let overall = self.kept_overall.load(Ordering::Relaxed);
        if overall > KEPT_REFUSALS_OVERALL {
            window.forget_refusals(before.max(KEPT_REFUSALS_EACH));
        }
        let after = window.kept_refusals();
        if after >= before {
            self.kept_overall.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.kept_overall.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Numbering {
    fn drop(&mut self) {
        let kept = self.lock().window.kept_refusals();
        self.kept_overall.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl State {
    /// Renews the credit, unless it is held back.
    fn limit(&mut self, budget: &Budget) -> Limit {
        if self.connection.held_back().is_none() {
            let window = self.connection.bounded(self.credit.window(budget.share()));
            self.granted = Limit {
                seq: self.granted.seq.max(self.window.upto().saturating_add(window.events)),
                bytes: self.granted.bytes.max(self.settled_bytes.saturating_add(window.bytes)),
            };
        }
        self.granted
    }

    /// Of this connection, what is not settled.
    fn under_way(&self) -> Amount {
        Amount { events: self.window.in_flight(), bytes: self.sent_bytes - self.settled_bytes }
    }
}
