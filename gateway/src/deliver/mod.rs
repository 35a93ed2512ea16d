//! Destinations: mechanism only. What goes where, and how it is written, was decided upstream and is
//! stamped on the record.

mod bell;
pub mod breaker;
mod failover;
mod forward;
pub mod kafka;
pub mod log;
mod spool;
#[cfg(test)]
mod testing;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tidegate_wire::{Level, Reason};

pub use self::failover::{Away, Failover};
pub use self::spool::Spool;

use crate::record::{Records, TopicId};
use crate::ticket::Ticket;

/// A boxed future of a [`Sink`], which is used as a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where records become durable.
pub trait Sink: Send + Sync + 'static {
    /// What an acknowledgement by this sink is worth.
    fn level(&self) -> Level;

    /// Takes records from position `from` on, in order, copying what it keeps, and returns how many it took.
    /// Each one taken is settled once through `ticket`, from another thread and possibly before this returns.
    /// Fewer than all means full: wait for [`Sink::room`] and offer the rest. Never blocks.
    ///
    /// Of a ticket that is owed none is refused for its topic: while that is missing, or may not be written to, records
    /// are not taken or are kept, and [`Sink::health`] says why.
    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize;

    /// The id of a topic by its name, for records that come with names; `None` for one that this sink cannot write to.
    fn topic(&self, name: &str) -> Option<TopicId> {
        let _ = name;
        None
    }

    /// Resolves when there may be room again, or at once if there is. Cancel safe.
    fn room(&self) -> Pending<'_, ()>;

    /// Whether records are becoming durable now. Cheap enough to ask for every acknowledgement.
    fn health(&self) -> Health;

    /// What an operator is told by `/readyz` although records are becoming durable: one sentence on what else is amiss.
    fn note(&self) -> Option<String> {
        None
    }

    /// The gateway is going away, its time is nearly over, and something taken has not settled: puts what can be made
    /// durable elsewhere there, at most within `deadline`, so that it settles while its clients can still be told. What
    /// cannot is left to [`Sink::drain`].
    fn hand_over(&self, _deadline: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Waits until everything taken has settled, at most `deadline`. What is left then is dropped, and its
    /// tickets with it, so its clients are not told that it is safe. Further records are not taken.
    fn drain(&self, deadline: Duration) -> Pending<'_, ()>;
}

/// Whether a sink makes progress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does, but not with every topic: what goes to the others is taken.
    Impaired {
        /// What an operator is told by `/readyz`: one sentence.
        detail: String,
    },
    /// It does, but not with a part of Kafka that stands still: no other gateway could do more, so this one stays ready.
    Partly {
        /// What an operator is told by `/readyz`: one sentence.
        detail: String,
    },
    /// It does not, for now.
    Away {
        /// What clients are told: `broker` or `full`.
        reason: Reason,
        /// What an operator is told by `/readyz`: one sentence.
        detail: String,
    },
}
