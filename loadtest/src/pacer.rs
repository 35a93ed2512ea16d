//! Waking clients when their frame is due, to some ten microseconds: the runtime's own timers count in milliseconds,
//! which would be part of every latency.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop;

use crate::clock;

/// Wakes the tasks of one thread: a timer of the kernel among the sockets that the runtime waits for anyway.
pub(crate) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    waiting: RefCell<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By the moment, then by who came first.
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
}

/// Resolves at a moment. Cancel safe.
pub(crate) struct Until<'a> {
    pacer: &'a Pacer,
    at: Instant,
    number: Option<u64>,
}

impl Pacer {
    /// A pacer for the tasks of the runtime that this is called in.
    pub(crate) fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("the kernel gives no timer")?;
        #[expect(
            deprecated,
            reason = "sound here: the descriptor is owned, and closed only after it is no longer watched"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer, waiting: RefCell::default() })
    }

    /// Waits until then, while [`Pacer::run`] runs.
    pub(crate) fn until(&self, at: Instant) -> Until<'_> {
        Until { pacer: self, at, number: None }
    }

    /// Wakes whoever is due, for ever.
    pub(crate) async fn run(&self) -> Result<Infallible> {
        loop {
            self.timer.readable().await?.clear_ready();
            self.wake();
        }
    }

    fn wake(&self) {
        let (mut waiting, now) = (self.waiting.borrow_mut(), clock::now());
        while let Some(first) = waiting.wakers.first_entry() {
            if first.key().0 > now {
                break;
            }
            first.remove().wake();
        }
        self.set(&waiting);
    }

    /// Has the timer fire for the first of those who wait.
    fn set(&self, waiting: &Waiting) {
        let Some(((first, _), _)) = waiting.wakers.first_key_value() else { return };
        // Zero would stop it.
        let left = first.saturating_duration_since(clock::now()).max(Duration::from_nanos(1));
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let timer = Itimerspec { it_interval: none, it_value };
        // Only an impossible time is refused; a timer that is set again is no longer readable.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer);
    }
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= self.at {
            // As the runtime's timers do: whoever waits for what is over, again and again, lets others have their turn.
            let turn = ready!(coop::poll_proceed(context));
            turn.made_progress();
            return Poll::Ready(());
        }
        let mut waiting = self.pacer.waiting.borrow_mut();
        let number = self.number.unwrap_or(waiting.next);
        if self.number.is_none() {
            waiting.next += 1;
        }
        let key = (self.at, number);
        waiting.wakers.insert(key, context.waker().clone());
        if waiting.wakers.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.pacer.set(&waiting);
        }
        drop(waiting);
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.pacer.waiting.borrow_mut().wakers.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_over_is_over_at_once_and_still_lets_others_have_their_turn() {
        let pacer = Pacer::new().unwrap();
        let now = clock::now();
        let over = async {
            loop {
                pacer.until(now).await;
            }
        };
        tokio::select! { biased; () = over => {}, () = tokio::task::yield_now() => {} }
    }

    #[tokio::test]
    async fn everybody_is_woken_in_turn_and_nobody_early() {
        let pacer = Pacer::new().unwrap();
        let start = clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let order = RefCell::new(Vec::new());
        let wait = async |ms| {
            pacer.until(at(ms)).await;
            assert!(clock::now() >= at(ms));
            order.borrow_mut().push(ms);
        };
        tokio::select! {
            () = wait(60_000) => {}
            ended = pacer.run() => panic!("{ended:?}"),
            _ = async { tokio::join!(wait(40), wait(20), wait(30)) } => {}
        }
        assert_eq!(*order.borrow(), [20, 30, 40]);
        assert!(pacer.waiting.borrow().wakers.is_empty(), "who was given up is forgotten");
    }
}
