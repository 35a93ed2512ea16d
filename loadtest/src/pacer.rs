//! Waking clients when their next frame is due, to some ten microseconds: the runtime's own timers count in milliseconds,
//! which would be part of every latency.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use tokio::task::coop;

use crate::clock;

/// A thread that wakes whoever waits for a moment; it ends with the last handle.
pub(crate) struct Pacer(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// By the moment, then by who came first.
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    closed: bool,
}

/// Resolves at a moment. Cancel safe.
pub(crate) struct Until<'a> {
    inner: &'a Inner,
    at: Instant,
    number: Option<u64>,
}

impl Pacer {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Self> {
        let inner = Arc::new(Inner::default());
        let running = Arc::clone(&inner);
        thread::Builder::new().name("pacer".into()).spawn(move || running.run())?;
        Ok(Self(inner))
    }

    /// Waits until then.
    pub(crate) fn until(&self, at: Instant) -> Until<'_> {
        Until { inner: &self.0, at, number: None }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

impl Inner {
    fn run(&self) {
        let mut waiting = self.lock();
        while !waiting.closed {
            let now = clock::now();
            let due = waiting.wakers.first_entry().map(|first| first.key().0);
            waiting = match due {
                Some(at) if at <= now => {
                    let first = waiting.wakers.pop_first();
                    // Outside the lock: whoever wakes may wait again at once.
                    drop(waiting);
                    first.into_iter().for_each(|(_, waker)| waker.wake());
                    self.lock()
                }
                Some(at) => {
                    let woken = self.changed.wait_timeout(waiting, at - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut waiting = self.inner.lock();
        let number = self.number.unwrap_or(waiting.next);
        if self.number.is_none() {
            waiting.next += 1;
        }
        let key = (self.at, number);
        waiting.wakers.insert(key, context.waker().clone());
        let is_first = waiting.wakers.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(waiting);
        if is_first {
            self.inner.changed.notify_one();
        }
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.inner.lock().wakers.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_over_is_over_at_once_and_still_lets_others_have_their_turn() {
        let pacer = Pacer::start().unwrap();
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
        let pacer = Pacer::start().unwrap();
        let start = clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let order = Mutex::new(Vec::new());
        let wait = async |ms| {
            pacer.until(at(ms)).await;
            assert!(clock::now() >= at(ms));
            order.lock().unwrap().push(ms);
        };
        tokio::select! {
            () = wait(60_000) => {}
            _ = async { tokio::join!(wait(40), wait(20), wait(30)) } => {}
        }
        assert_eq!(*order.lock().unwrap(), [20, 30, 40]);
        assert!(pacer.0.lock().wakers.is_empty(), "who was given up is forgotten");
    }
}
