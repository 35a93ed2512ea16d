//! The memory budget: what is received and not settled, over all clients, and who may have how much of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, oneshot};

use crate::metrics::Metrics;

/// Of the budget, the part that is left to those who hold nothing: nobody's share reaches into it, and when it is
/// used up new sessions and requests are refused.
const RESERVE_DIVISOR: u64 = 8;
/// When less than this part of the budget is free, lossy events are dropped.
const LOSSY_DIVISOR: u64 = 4;
/// How many of those who wait are looked at when something is given back.
const LOOKS: usize = 16;
/// The least that a packet is taken to become.
const LEAST_BYTES: u64 = 1_024;
/// What a byte of payload is taken to become before anything is known of the client.
const UNKNOWN_RATIO: u64 = 4;

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
    state: Mutex<State>,
    /// Of the state, to be read without its lock.
    free: AtomicU64,
    in_flight: Gauge,
    emptied: Notify,
}

#[derive(Debug)]
struct State {
    total: u64,
    /// Below 0 by what frames came to beyond what they were taken to be: by a frame for each thread at most.
    free: i64,
    /// Those who hold nothing, in their order.
    empty_handed: VecDeque<Waiter>,
    others: VecDeque<Waiter>,
    /// What went past the first of them since it is the first.
    passed: u64,
}

#[derive(Debug)]
struct Waiter {
    account: Arc<Account>,
    bytes: u64,
    given: oneshot::Sender<Held>,
}

/// What one client holds of the budget.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Changed under the budget's lock.
    held: AtomicU64,
    /// What a byte of payload came to in the client's newest frame.
    ratio: AtomicU64,
}

impl Account {
    /// What a packet of this client may come to, going by its newest frame.
    pub(super) fn estimate(&self, packet_bytes: usize) -> u64 {
        let ratio = match self.ratio.load(Ordering::Relaxed) {
            0 => UNKNOWN_RATIO,
            ratio => ratio,
        };
        (packet_bytes as u64).saturating_mul(ratio).max(LEAST_BYTES)
    }

    /// Says what `payload_bytes` of this client came to.
    pub(super) fn learn(&self, payload_bytes: u64, cost_bytes: u64) {
        self.ratio.store(cost_bytes.div_ceil(payload_bytes.max(1)), Ordering::Relaxed);
    }

    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
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

    /// Makes it what the events have come to, whether there is room for that or not.
    pub(super) fn resize(&mut self, bytes: u64) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.budget.change(&self.account, before, bytes);
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
        let state = State {
            total,
            free: signed(total),
            empty_handed: VecDeque::new(),
            others: VecDeque::new(),
            passed: 0,
        };
        Self(Arc::new(Inner {
            total,
            state: Mutex::new(state),
            free: AtomicU64::new(total),
            in_flight: metrics.bytes_in_flight.clone(),
            emptied: Notify::new(),
        }))
    }

    /// A share of `bytes`, if `account` may have it now. What is larger than everything takes everything.
    pub(super) fn try_hold(&self, account: &Arc<Account>, bytes: u64) -> Option<Held> {
        let bytes = bytes.min(self.0.total);
        let mut state = self.lock();
        if !state.may_take(account.held(), bytes) {
            return None;
        }
        if !state.empty_handed.is_empty() {
            state.passed += bytes;
        }
        Some(self.take(&mut state, Arc::clone(account), bytes))
    }

    /// The same, in turn. Cancel safe.
    pub(super) async fn hold(&self, account: &Arc<Account>, bytes: u64) -> Option<Held> {
        let waiting = {
            let bytes = bytes.min(self.0.total);
            let mut state = self.lock();
            if state.may_take(account.held(), bytes) {
                return Some(self.take(&mut state, Arc::clone(account), bytes));
            }
            let (given, waiting) = oneshot::channel();
            let waiter = Waiter { account: Arc::clone(account), bytes, given };
            if account.held() == 0 {
                state.empty_handed.push_back(waiter);
            } else {
                state.others.push_back(waiter);
            }
            waiting
        };
        // Whoever waits is given something in the end: all that is held is given back.
        waiting.await.ok()
    }

    /// A share of nothing yet, for what is resized to what it is.
    pub(super) fn nothing(&self, account: &Arc<Account>) -> Held {
        Held { budget: self.clone(), account: Arc::clone(account), bytes: 0 }
    }

    /// A share of `bytes` for somebody who comes for the first time: only from what is beyond the reserve, or with
    /// everything free.
    pub(super) fn try_begin(&self, bytes: u64) -> Option<Held> {
        let bytes = bytes.min(self.0.total - self.reserve());
        let mut state = self.lock();
        let fits = signed(bytes + self.reserve()) <= state.free && state.empty_handed.is_empty();
        fits.then(|| self.take(&mut state, Arc::default(), bytes))
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

    fn take(&self, state: &mut State, account: Arc<Account>, bytes: u64) -> Held {
        account.held.fetch_add(bytes, Ordering::Relaxed);
        self.set_free(state, state.free - signed(bytes));
        Held { budget: self.clone(), account, bytes }
    }

    fn change(&self, account: &Account, before: u64, after: u64) {
        let mut state = self.lock();
        let held = account.held().saturating_sub(before) + after;
        account.held.store(held, Ordering::Relaxed);
        let free = state.free + signed(before) - signed(after);
        self.set_free(&mut state, free);
        let mut served = Vec::new();
        if before > after {
            let mut looks = LOOKS;
            while let Some(Waiter { account, bytes, given }) = state.next_served(&mut looks) {
                served.push((given, self.take(&mut state, account, bytes)));
            }
        }
        let is_empty = state.free == signed(self.0.total);
        drop(state);
        // Outside the lock: a share that nobody waits for any more comes straight back.
        for (given, held) in served {
            drop(given.send(held));
        }
        if is_empty {
            self.0.emptied.notify_waiters();
        }
    }

    fn set_free(&self, state: &mut State, free: i64) {
        state.free = free;
        self.0.free.store(u64::try_from(free).unwrap_or(0), Ordering::Relaxed);
        self.0.in_flight.set(signed(self.0.total) - free);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether somebody who holds `held` may have `bytes` more, now and before those who wait.
    fn may_take(&self, held: u64, bytes: u64) -> bool {
        if held > 0 {
            return self.empty_handed.is_empty() && self.is_fair(held, bytes);
        }
        // Nobody is passed by more than the whole budget.
        let may_pass = self.empty_handed.is_empty() || self.passed.saturating_add(bytes) <= self.total;
        may_pass && signed(bytes) <= self.free
    }

    /// Whether as much is left free beyond the reserve as is held then.
    fn is_fair(&self, held: u64, bytes: u64) -> bool {
        let needed =
            held.saturating_add(bytes.saturating_mul(2)).saturating_add(self.total / RESERVE_DIVISOR);
        signed(needed) <= self.free
    }

    /// Somebody who waits and can have their share now, if one of the next `looks` can. Whoever is looked at and not
    /// served holds something, or waits for somebody who does: so somebody always looks again.
    fn next_served(&mut self, looks: &mut usize) -> Option<Waiter> {
        while let Some(first) = self.empty_handed.front() {
            let (fits, is_gone) = (signed(first.bytes) <= self.free, first.given.is_closed());
            if !fits && !is_gone {
                return None;
            }
            self.passed = 0;
            let first = self.empty_handed.pop_front()?;
            if !is_gone {
                return Some(first);
            }
        }
        while *looks > 0 {
            let waiter = self.others.pop_front()?;
            if waiter.given.is_closed() {
                continue;
            }
            *looks -= 1;
            let held = waiter.account.held();
            if held > 0 && self.is_fair(held, waiter.bytes) || held == 0 && signed(waiter.bytes) <= self.free
            {
                return Some(waiter);
            }
            if held == 0 {
                self.empty_handed.push_back(waiter);
                return None;
            }
            self.others.push_back(waiter);
        }
        None
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(bytes: u64) -> Budget {
        Budget::new(bytes, &Metrics::register().0)
    }

    /// Takes pieces of `bytes` for one account until it may have no more.
    fn flood(budget: &Budget, account: &Arc<Account>, bytes: u64) -> Vec<Held> {
        std::iter::from_fn(|| budget.try_hold(account, bytes)).collect()
    }

    fn held(shares: &[Held]) -> u64 {
        shares.iter().map(|share| share.bytes).sum()
    }

    #[test]
    fn one_who_takes_what_there_is_leaves_half_of_what_is_beyond_the_reserve() {
        let budget = budget(8_000);
        let flooder = Arc::default();
        let shares = flood(&budget, &flooder, 10);
        assert_eq!((held(&shares), budget.share()), (3_500, 3_500));
    }

    #[test]
    fn of_many_who_take_what_there_is_each_has_as_much_as_they_leave() {
        let budget = budget(80_000);
        let flooders: Vec<Arc<Account>> = (0..9).map(|_| Arc::default()).collect();
        let mut shares: Vec<Vec<Held>> = flooders.iter().map(|_| Vec::new()).collect();
        // They take in turn and settle the oldest in turn, as a destination that goes on taking does.
        for round in 0..5_000 {
            for (flooder, shares) in flooders.iter().zip(&mut shares) {
                shares.extend(budget.try_hold(flooder, 100));
                if round % 3 == 0 && !shares.is_empty() {
                    drop(shares.remove(0));
                }
            }
        }
        let even = 70_000 / 10;
        for shares in &shares {
            assert!(held(shares).abs_diff(even) <= 500, "{} is not about {even}", held(shares));
        }
        assert!(budget.share().abs_diff(even) <= 2_000, "{} is not about {even}", budget.share());
        assert_eq!(budget.supply(), Supply::Low);
    }

    #[test]
    fn who_holds_nothing_is_served_at_once_while_others_wait_for_more() {
        let budget = budget(80_000);
        let flooders: Vec<Arc<Account>> = (0..100).map(|_| Arc::default()).collect();
        let shares: Vec<_> = flooders.iter().map(|flooder| flood(&budget, flooder, 50)).collect();
        assert!(shares.iter().all(|shares| !shares.is_empty()));
        let calm = budget.try_hold(&Arc::default(), 2_000);
        assert!(calm.is_some(), "{} are free", budget.share());
    }

    #[tokio::test]
    async fn what_is_given_back_goes_to_those_who_hold_nothing_first_and_to_them_in_turn() {
        let budget = budget(8_000);
        let (big, late) = (Arc::default(), Arc::default());
        let flooder: Arc<Account> = Arc::default();
        let mut shares = flood(&budget, &flooder, 1_000);
        shares.extend((0..3).filter_map(|_| budget.try_hold(&Arc::default(), 1_200)));
        let mut more = Box::pin(budget.hold(&flooder, 100));
        let mut first = Box::pin(budget.hold(&big, 4_000));
        let mut second = Box::pin(budget.hold(&late, 4_000));
        assert!(futures_util::poll!(&mut more).is_pending());
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(shares);
        assert_eq!(first.await.unwrap().bytes, 4_000);
        assert_eq!(second.await.unwrap().bytes, 4_000);
        assert_eq!(more.await.unwrap().bytes, 100);
        budget.settled().await;
    }

    #[tokio::test]
    async fn a_large_share_is_passed_by_small_ones_but_not_for_ever() {
        let budget = budget(8_000);
        let mut small = budget.try_hold(&Arc::default(), 1_000);
        let large_account = Arc::default();
        let mut large = Box::pin(budget.hold(&large_account, 8_000));
        assert!(futures_util::poll!(&mut large).is_pending());
        let mut passed = 0;
        // The next small one always comes before the last one has gone.
        while let Some(next) = budget.try_hold(&Arc::default(), 1_000) {
            small = Some(next);
            passed += 1;
        }
        assert_eq!(passed, 8, "as much as the whole budget");
        drop(small);
        assert_eq!(large.await.unwrap().bytes, 8_000);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let budget = budget(8_000);
        let all = budget.try_hold(&Arc::default(), 8_000);
        let waits_account = Arc::default();
        let mut waits = Box::pin(budget.hold(&waits_account, 10));
        assert!(futures_util::poll!(&mut waits).is_pending());
        let after_account = Arc::default();
        let mut after = Box::pin(budget.hold(&after_account, 20));
        assert!(futures_util::poll!(&mut after).is_pending());
        drop(waits);
        drop(all);
        assert_eq!(after.await.unwrap().bytes, 20);
        budget.settled().await;
    }

    #[test]
    fn who_comes_for_the_first_time_finds_what_is_beyond_the_reserve() {
        let budget = budget(8_000);
        assert!(budget.try_begin(1 << 30).is_some(), "with everything free whatever it is");
        let held = budget.try_hold(&Arc::default(), 6_001);
        assert!(budget.try_begin(999).is_some());
        assert!(budget.try_begin(1_000).is_none());
        assert_eq!(budget.supply(), Supply::Low);
        let more = budget.try_hold(&Arc::default(), 1_000);
        assert_eq!(budget.supply(), Supply::Scarce);
        drop((held, more));
        assert_eq!(budget.supply(), Supply::Ample);
    }

    #[test]
    fn what_came_to_more_than_it_was_taken_for_is_counted() {
        let budget = budget(1_000);
        let account = Arc::default();
        let mut share = budget.try_hold(&account, 900).unwrap();
        share.resize(1_500);
        assert!(budget.try_hold(&Arc::default(), 1).is_none());
        assert_eq!(account.held(), 1_500);
        share.resize(400);
        assert!(budget.try_hold(&Arc::default(), 600).is_some());
    }

    #[test]
    fn an_estimate_goes_by_the_newest_frame() {
        let account = Account::default();
        assert_eq!((account.estimate(10), account.estimate(1_000)), (LEAST_BYTES, 4_000));
        account.learn(100, 1_950);
        assert_eq!(account.estimate(1_000), 20_000);
    }

    proptest! {
        /// Whoever takes and gives back what: nothing goes missing, nobody waits for nothing, and nobody who holds
        /// something has been given more than was left.
        #[test]
        fn nothing_goes_missing_and_nobody_waits_for_nothing(steps in prop::collection::vec((0_usize..6, 1_u64..3_000, any::<bool>()), 1..120)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let budget = budget(4_000);
                let accounts: Vec<Arc<Account>> = (0..6).map(|_| Arc::default()).collect();
                let mut held: Vec<Vec<Held>> = (0..6).map(|_| Vec::new()).collect();
                let mut waiting: Vec<Option<tokio::task::JoinHandle<Option<Held>>>> = (0..6).map(|_| None).collect();
                for (who, bytes, gives_back) in steps {
                    if gives_back {
                        held[who].pop();
                    } else if waiting[who].is_none() {
                        let (budget, account) = (budget.clone(), Arc::clone(&accounts[who]));
                        waiting[who] = Some(tokio::spawn(async move { budget.hold(&account, bytes).await }));
                    }
                    for _ in 0..8 {
                        tokio::task::yield_now().await;
                    }
                    for (waiting, held) in waiting.iter_mut().zip(&mut held) {
                        if waiting.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) {
                            held.extend(waiting.take().unwrap().await.unwrap());
                        }
                    }
                    let all: u64 = held.iter().flatten().map(|share| share.bytes).sum();
                    assert!(all <= 4_000);
                    assert_eq!(budget.lock().free, signed(4_000 - all));
                }
                drop(held);
                let waiting = waiting.into_iter().flatten().map(|waiting| async { drop(waiting.await.unwrap()) });
                futures_util::future::join_all(waiting).await;
                budget.settled().await;
            });
        }
    }
}
