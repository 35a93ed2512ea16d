//! The memory budget: what is received and not settled, over all clients, and who may have how much of it.

mod account;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, oneshot};

pub(super) use self::account::Account;
use self::queue::{LOOKS, Queue, RESERVE_DIVISOR, Waiter};
use crate::metrics::Metrics;

/// When less than this part of the budget is free, lossy events are dropped.
const LOSSY_DIVISOR: u64 = 4;

/// How much of the budget is free.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Supply {
    /// So little that established clients alone are served.
    Scarce,
    /// Lossy events are dropped.
    Low,
    /// Enough.
    Ample,
}

/// One budget for everybody. Cheap to clone.
///
/// Whoever holds something may have as much as is free beyond the reserve, and not more (dynamic thresholds, Choudhury
/// and Hahne 1998): with N of them that take what they can get, 1/(N+1) is free in the long run, and nobody counts
/// them. Who holds nothing has what there is, in turn, and before all others.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: u64,
    queue: Mutex<Queue>,
    /// Of the queue, to be read without its lock.
    free: AtomicU64,
    in_flight: Gauge,
    emptied: Notify,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Budget,
    account: Arc<Account>,
    bytes: u64,
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whose it is.
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Makes it what the events have come to, whether there is room for that or not.
    pub(super) fn resize(&mut self, bytes: u64) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.budget.change(&self.account, before, bytes);
    }

    /// Takes `bytes` of it apart, to be given back by themselves.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), account: Arc::clone(&self.account), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.change(&self.account, self.bytes, 0);
    }
}

impl Budget {
    pub(super) fn new(bytes: u64, metrics: &Metrics) -> Self {
        let total = bytes.max(1);
        metrics.bytes_budget.set(signed(total));
        Self(Arc::new(Inner {
            total,
            queue: Mutex::new(Queue::new(total)),
            free: AtomicU64::new(total),
            in_flight: metrics.bytes_in_flight.clone(),
            emptied: Notify::new(),
        }))
    }

    /// All of it, free or not.
    pub(super) fn total(&self) -> u64 {
        self.0.total
    }

    /// A share of `bytes`, if `account` may have it now. What is larger than everything takes everything.
    pub(super) fn try_hold(&self, account: &Arc<Account>, bytes: u64) -> Option<Held> {
        let bytes = bytes.min(self.0.total);
        let mut queue = self.lock();
        queue.may_take(account.held(), bytes).then(|| {
            queue.pass(bytes);
            self.take(&mut queue, Arc::clone(account), bytes)
        })
    }

    /// The same, in turn. Cancel safe: who is dropped waits no longer, and holds nothing.
    pub(super) async fn hold(&self, account: &Arc<Account>, bytes: u64) -> Option<Held> {
        let mut turn = {
            let bytes = bytes.min(self.0.total);
            let mut queue = self.lock();
            if queue.may_take(account.held(), bytes) {
                queue.pass(bytes);
                return Some(self.take(&mut queue, Arc::clone(account), bytes));
            }
            let (given, waiting) = oneshot::channel();
            let ticket = queue.join(Waiter { account: Arc::clone(account), bytes, given });
            Turn { budget: self, ticket, waiting }
        };
        // Whoever waits is given something in the end: all that is held is given back.
        (&mut turn.waiting).await.ok()
    }

    /// A share of nothing yet, for what is resized to what it is.
    pub(super) fn nothing(&self, account: &Arc<Account>) -> Held {
        Held { budget: self.clone(), account: Arc::clone(account), bytes: 0 }
    }

    /// A share of `bytes` for a request, which cannot wait: from what is beyond the reserve alone, and no more than
    /// `account` may hold.
    pub(super) fn try_begin(&self, account: &Arc<Account>, bytes: u64) -> Option<Held> {
        let mut queue = self.lock();
        let may_begin = queue.may_begin(account.held(), bytes);
        may_begin.then(|| self.take(&mut queue, Arc::clone(account), bytes))
    }

    /// What [`Budget::try_begin`] gives at most, with everything free.
    pub(super) fn begin_most(&self) -> u64 {
        self.0.total - self.reserve()
    }

    /// The most that one client may hold now.
    pub(super) fn share(&self) -> u64 {
        self.0.free.load(Ordering::Relaxed).saturating_sub(self.reserve())
    }

    /// How much is free.
    pub(super) fn supply(&self) -> Supply {
        match self.0.free.load(Ordering::Relaxed) {
            free if free < self.reserve() => Supply::Scarce,
            free if free < self.0.total / LOSSY_DIVISOR => Supply::Low,
            _ => Supply::Ample,
        }
    }

    /// Resolves once nothing is held.
    pub(super) async fn settled(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.0.emptied.notified());
            emptied.as_mut().enable();
            if self.lock().free == signed(self.0.total) {
                return;
            }
            emptied.await;
        }
    }

    fn reserve(&self) -> u64 {
        self.0.total / RESERVE_DIVISOR
    }

    fn take(&self, queue: &mut Queue, account: Arc<Account>, bytes: u64) -> Held {
        account.set_held(account.held() + bytes);
        self.set_free(queue, queue.free - signed(bytes));
        Held { budget: self.clone(), account, bytes }
    }

    fn change(&self, account: &Account, before: u64, after: u64) {
        let mut queue = self.lock();
        let held = account.held().saturating_sub(before) + after;
        account.set_held(held);
        let free = queue.free + signed(before) - signed(after);
        self.set_free(&mut queue, free);
        if queue.has_waiters() {
            if held == 0 {
                queue.emptied(account);
            }
            if before > after {
                return self.serve(queue);
            }
        }
        if free == signed(self.0.total) {
            drop(queue);
            self.0.emptied.notify_waiters();
        }
    }

    /// Gives those who wait what there is for them now.
    fn serve(&self, mut queue: MutexGuard<'_, Queue>) {
        let mut served = Vec::new();
        let mut looks = LOOKS;
        while let Some(Waiter { account, bytes, given }) = queue.next_served(&mut looks) {
            served.push((given, self.take(&mut queue, account, bytes)));
        }
        let is_empty = queue.free == signed(self.0.total);
        drop(queue);
        // Outside the lock: a share that nobody waits for any more comes straight back.
        for (given, held) in served {
            drop(given.send(held));
        }
        if is_empty {
            self.0.emptied.notify_waiters();
        }
    }

    fn set_free(&self, queue: &mut Queue, free: i64) {
        queue.free = free;
        self.0.free.store(u64::try_from(free).unwrap_or(0), Ordering::Relaxed);
        self.0.in_flight.set(signed(self.0.total) - free);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's place among those who wait, given up when dropped.
struct Turn<'a> {
    budget: &'a Budget,
    ticket: u64,
    waiting: oneshot::Receiver<Held>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.budget.lock();
        // Others may have waited behind it.
        if queue.leave(self.ticket).is_some() {
            self.budget.serve(queue);
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
