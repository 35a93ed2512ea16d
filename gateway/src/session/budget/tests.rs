//! Who gets what of the budget, and that nobody waits for ever.

use std::collections::VecDeque;
use std::pin::Pin;

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
    let begins = |bytes| budget.try_begin(&Arc::default(), bytes).is_some();
    assert_eq!(budget.begin_most(), 7_000);
    assert!(begins(7_000) && !begins(7_001));
    let held = budget.try_hold(&Arc::default(), 6_001);
    assert!(begins(999) && !begins(1_000));
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
    let (account, most) = (Account::default(), 1 << 20);
    assert_eq!((account.estimate(10, most), account.estimate(1_000, most)), (1_024, 4_000));
    account.learn(100, 1_950);
    assert_eq!(account.estimate(1_000, most), 20_000);
    assert_eq!(account.estimate(1_000, 3_000), 3_000, "and by what it can come to");
}

#[test]
fn requests_of_one_client_have_their_share_and_leave_the_others_theirs() {
    let budget = budget(8_000);
    let flooder: Arc<Account> = Arc::default();
    let begun: Vec<Held> = std::iter::from_fn(|| budget.try_begin(&flooder, 500)).collect();
    assert_eq!(held(&begun), 3_500);
    assert!(budget.try_begin(&Arc::default(), 3_000).is_some(), "another client has as much");
    drop(begun);
    assert!(budget.try_begin(&flooder, 7_000).is_some());
}

#[tokio::test]
async fn who_comes_to_hold_nothing_is_served_before_those_who_come_later() {
    let budget = budget(8_000);
    let first: Arc<Account> = Arc::default();
    let mut its_own = Some(flood(&budget, &first, 500));
    let mut rest = budget.try_hold(&Arc::default(), 4_500);
    let mut waits = Box::pin(budget.hold(&first, 2_000));
    assert!(futures_util::poll!(&mut waits).is_pending());
    // There is always somebody new who waits, too: what one gives back is the next one's.
    let newcomers: Vec<Arc<Account>> = (0..20).map(|_| Arc::default()).collect();
    let mut queue: Vec<_> = newcomers.iter().map(|newcomer| Box::pin(budget.hold(newcomer, 4_500))).collect();
    for newcomer in &mut queue {
        assert!(futures_util::poll!(newcomer).is_pending());
    }
    let mut served = 0;
    while futures_util::poll!(&mut waits).is_pending() {
        drop(its_own.take());
        drop(rest.take());
        assert!(served < newcomers.len(), "all who came later were served before");
        rest = queue.remove(0).await;
        served += 1;
    }
    assert!(served <= 1, "{served} who came later were served before");
}

#[tokio::test]
async fn who_gives_up_waiting_while_it_holds_something_leaves_nothing_behind_either() {
    let budget = budget(8_000);
    let account: Arc<Account> = Arc::default();
    let shares = flood(&budget, &account, 500);
    for _ in 0..1_000 {
        let mut waits = Box::pin(budget.hold(&account, 1_000));
        assert!(futures_util::poll!(&mut waits).is_pending());
    }
    assert_eq!(budget.lock().len(), 0);
    assert_eq!(Arc::strong_count(&account), 1 + shares.len());
}

/// What one of a few clients does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Waits for so much, unless it waits already.
    Wait(u64),
    /// Waits no longer.
    GiveUp,
    /// Gives back the oldest of what it holds.
    GiveBack,
    /// Its oldest came to so much.
    Resize(u64),
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        3 => (1_u64..3_000).prop_map(Step::Wait),
        1 => Just(Step::GiveUp),
        3 => Just(Step::GiveBack),
        1 => (0_u64..1_500).prop_map(Step::Resize),
    ];
    prop::collection::vec((0_usize..CLIENTS, step), 1..150)
}

const CLIENTS: usize = 40;

proptest! {
    /// Whoever takes, gives up and gives back what: nothing goes missing, and who waits is served in the end, however
    /// many others there are.
    #[test]
    fn nothing_goes_missing_and_everybody_is_served_in_the_end(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let budget = budget(4_000);
            let accounts: Vec<Arc<Account>> = (0..CLIENTS).map(|_| Arc::default()).collect();
            let mut held: Vec<VecDeque<Held>> = (0..CLIENTS).map(|_| VecDeque::new()).collect();
            let mut waiting: Vec<Option<Waits<'_>>> = (0..CLIENTS).map(|_| None).collect();
            for (who, step) in steps {
                match step {
                    Step::Wait(bytes) if waiting[who].is_none() => {
                        waiting[who] = Some(Box::pin(budget.hold(&accounts[who], bytes)));
                    }
                    Step::Wait(_) => {}
                    Step::GiveUp => waiting[who] = None,
                    Step::GiveBack => drop(held[who].pop_front()),
                    Step::Resize(bytes) => {
                        held[who].front_mut().into_iter().for_each(|share| share.resize(bytes));
                    }
                }
                look(&mut waiting, &mut held).await;
                let all: u64 = held.iter().flatten().map(|share| share.bytes).sum();
                assert_eq!(budget.lock().free, 4_000 - signed(all));
                assert_eq!(budget.lock().len(), waiting.iter().flatten().count());
            }
            // Each gives back one thing after the other: nothing else wakes those who wait.
            for _ in 0..1_000 {
                let Some(one) = held.iter_mut().find(|held| !held.is_empty()) else { break };
                one.pop_front();
                look(&mut waiting, &mut held).await;
            }
            assert!(waiting.iter().all(Option::is_none), "somebody waits for nothing");
            assert_eq!(budget.lock().len(), 0);
            budget.settled().await;
        });
    }
}

type Waits<'a> = Pin<Box<dyn Future<Output = Option<Held>> + 'a>>;

/// Whoever has been served has it from here on.
async fn look(waiting: &mut [Option<Waits<'_>>], held: &mut [VecDeque<Held>]) {
    for (waits, held) in waiting.iter_mut().zip(held) {
        if let Some(future) = waits
            && let std::task::Poll::Ready(share) = futures_util::poll!(future)
        {
            held.extend(share);
            *waits = None;
        }
    }
}
