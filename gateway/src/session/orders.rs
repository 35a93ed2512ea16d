//! What the reading half of a session asks of the writing half.
//!
//! A channel of the runtime would do, but allots two KiB to each, and every idle session has one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_wire::Ping;
use tokio::sync::Notify;

use super::connection::End;

/// Frames that wait for the writer; a client that fills it with PINGs and reads no answer is read no further.
const MOST: usize = 16;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Answer a PING.
    Pong(Ping),
    /// Take leave.
    Finish(End),
}

/// Orders in their order, 16 at most, from one half of a session to the other.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<Waiting>,
    given: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    orders: VecDeque<Order>,
    closed: bool,
}

impl Orders {
    /// Gives an order as soon as there is room; it is dropped where nobody takes any more. Cancel safe: then it was
    /// not given.
    pub(super) async fn give(&self, order: Order) {
        let mut order = Some(order);
        loop {
            {
                let mut waiting = self.lock();
                if waiting.closed {
                    return;
                }
                if waiting.orders.len() < MOST {
                    waiting.orders.extend(order.take());
                    self.given.notify_one();
                    return;
                }
            }
            self.taken.notified().await;
        }
    }

    /// The next order. Cancel safe.
    pub(super) async fn take(&self) -> Order {
        loop {
            if let Some(order) = self.lock().orders.pop_front() {
                self.taken.notify_one();
                return order;
            }
            self.given.notified().await;
        }
    }

    /// Nothing is taken any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pong(number: u8) -> Order {
        Order::Pong(Ping::new(&[number]))
    }

    /// A full queue, and somebody who waits to give one order more.
    async fn full() -> (Arc<Orders>, tokio::task::JoinHandle<()>) {
        let orders = Arc::new(Orders::default());
        for number in 0..16 {
            orders.give(pong(number)).await;
        }
        let more = tokio::spawn({
            let orders = Arc::clone(&orders);
            async move { orders.give(pong(16)).await }
        });
        tokio::task::yield_now().await;
        assert!(!more.is_finished(), "there is room for 16");
        (orders, more)
    }

    #[tokio::test]
    async fn orders_are_taken_in_their_order_and_a_full_queue_waits() {
        let (orders, more) = full().await;
        for number in 0..17 {
            let Order::Pong(ping) = orders.take().await else { panic!("a pong") };
            assert_eq!(ping, Ping::new(&[number]));
        }
        more.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_released_when_nobody_takes_any_more() {
        let (orders, more) = full().await;
        orders.close();
        more.await.unwrap();
        orders.give(pong(17)).await;
    }
}
