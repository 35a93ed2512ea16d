//! What the bodies of all requests may hold together, and how much of it those of one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_wire::Reason;

use super::answer::Refusal;
use crate::access::Grant;
use crate::listen::link::Numbering;
use crate::rates::Rates;

/// What every request holds at least.
const LEAST_BYTES: u64 = 4 << 10;
/// When a request that found no room may come again.
const RETRY_MS: u64 = 1_000;

/// See the module. Cheap to clone.
///
/// Whose first body is under way has what there is; beside it one may have as much as is left free, and not more: so who
/// sends many at once leaves room for the others, and nobody counts them.
#[derive(Clone, Debug)]
pub(super) struct Bodies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// Whose bodies hold how much: of those that hold something.
    held: HashMap<Owner, u64>,
}

/// Whose bodies: a client's by its name, else those of all the nameless behind one address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Owner {
    tenant: Arc<str>,
    who: Result<Box<str>, (bool, u128)>,
}

impl Owner {
    pub(super) fn of(grant: &Grant, numbering: Option<&Numbering<'_>>, rates: &Rates, from: IpAddr) -> Self {
        let who = numbering.map(|numbering| numbering.client.into()).ok_or_else(|| rates.prefix(from));
        Self { tenant: Arc::clone(&grant.tenant), who }
    }
}

/// What one request holds, until dropped.
#[derive(Debug)]
pub(super) struct Share {
    bodies: Bodies,
    owner: Owner,
    bytes: u64,
}

impl Bodies {
    pub(super) fn new(bytes: u64) -> Self {
        let total = bytes.max(LEAST_BYTES);
        Self(Arc::new(Inner { total, state: Mutex::new(State { free: total, held: HashMap::new() }) }))
    }

    /// What there is for all of them.
    pub(super) fn total_bytes(&self) -> u64 {
        self.0.total
    }

    /// What a request holds from its start; 503 where there is no room.
    pub(super) fn begin(&self, owner: Owner) -> Result<Share, Refusal> {
        let mut share = Share { bodies: self.clone(), owner, bytes: 0 };
        share.grow(LEAST_BYTES)?;
        Ok(share)
    }

    /// What is free.
    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> u64 {
        self.lock().free
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Has it hold `bytes`, unless it holds more: 413 where there is not as much for all requests together, 503 where there
    /// is no room now.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        let total = self.bodies.0.total;
        if bytes > total {
            let detail = format!(
                "the body takes {bytes} bytes of memory, and this gateway has {total} for all bodies: limits.budget_bytes"
            );
            return Err(Refusal::too_large(detail));
        }
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return Ok(()) };
        let mut state = self.bodies.lock();
        let held = state.held.get(&self.owner).copied().unwrap_or(0);
        let is_first = held == self.bytes;
        let needed = if is_first { more } else { held.saturating_add(more.saturating_mul(2)) };
        if needed > state.free {
            return Err(Refusal::busy(Reason::Memory, RETRY_MS));
        }
        state.free -= more;
        match state.held.get_mut(&self.owner) {
            Some(held) => *held += more,
            None => drop(state.held.insert(self.owner.clone(), more)),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Has it hold `bytes`, unless it holds less.
    pub(super) fn shrink(&mut self, bytes: u64) {
        self.give_back(bytes.max(LEAST_BYTES));
    }

    fn give_back(&mut self, down_to: u64) {
        let Some(less) = self.bytes.checked_sub(down_to).filter(|less| *less > 0) else { return };
        let mut state = self.bodies.lock();
        state.free += less;
        if let Some(held) = state.held.get_mut(&self.owner) {
            *held -= less;
            if *held == 0 {
                state.held.remove(&self.owner);
            }
        }
        self.bytes = down_to;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(0);
    }
}

#[cfg(test)]
impl Owner {
    /// A client of the tenant `default`.
    pub(super) fn named(client: &str) -> Self {
        Self { tenant: "default".into(), who: Ok(client.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(bodies: &Bodies, client: &str, bytes: u64) -> Result<Share, &'static str> {
        let mut share = bodies.begin(Owner::named(client)).map_err(|refusal| refusal.reason())?;
        share.grow(bytes).map_err(|refusal| refusal.reason())?;
        Ok(share)
    }

    #[test]
    fn who_sends_many_at_once_leaves_room_for_the_others() {
        let bodies = Bodies::new(1 << 20);
        let flood: Vec<_> = std::iter::from_fn(|| begin(&bodies, "flooder", 40 << 10).ok()).collect();
        assert_eq!(flood.len(), 12, "nearly half");
        assert_eq!(begin(&bodies, "flooder", 40 << 10).err(), Some("memory"));
        let quiet = begin(&bodies, "quiet", 500 << 10);
        assert!(quiet.is_ok(), "its first has what there is");
        drop((flood, quiet));
        assert_eq!((bodies.free_bytes(), bodies.lock().held.len()), (1 << 20, 0));
    }

    #[test]
    fn what_can_never_fit_is_too_large_and_what_may_fit_later_is_not() {
        let bodies = Bodies::new(64 << 10);
        assert_eq!(begin(&bodies, "a", (64 << 10) + 1).err(), Some("too_large"));
        let first = begin(&bodies, "a", 64 << 10).unwrap();
        assert_eq!(begin(&bodies, "b", 1).err(), Some("memory"));
        drop(first);
        assert!(begin(&bodies, "b", 1).is_ok());
    }
}
