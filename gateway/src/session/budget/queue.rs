//! Those who wait for a share of the budget: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::account::Account;
use super::{Held, signed};

/// Of the budget, the part that is left to those who hold nothing: nobody's share reaches into it, and when it is
/// used up new sessions and requests are refused.
pub(super) const RESERVE_DIVISOR: u64 = 8;
/// How many of those who hold something are looked at when something is given back.
pub(super) const LOOKS: usize = 16;

/// What is free, and who waits for it: each under the ticket it drew when it came, and no longer than it waits.
#[derive(Debug)]
pub(super) struct Queue {
    total: u64,
    /// Below 0 by what frames came to beyond what they were taken to be: by a frame for each thread at most.
    pub(super) free: i64,
    next_ticket: u64,
    /// Those who hold nothing, in their order.
    empty_handed: BTreeMap<u64, Waiter>,
    /// Those who hold something. Who comes to hold nothing goes to the place among the former that its ticket gives it.
    others: BTreeMap<u64, Waiter>,
    /// The tickets of the others by where their accounts lie.
    by_account: BTreeSet<(usize, u64)>,
    /// The ticket from which on the others are looked at next.
    hand: u64,
    /// What went past the first of the empty-handed since it is the first.
    passed: u64,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) account: Arc<Account>,
    pub(super) bytes: u64,
    pub(super) given: oneshot::Sender<Held>,
}

impl Queue {
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            free: signed(total),
            next_ticket: 0,
            empty_handed: BTreeMap::new(),
            others: BTreeMap::new(),
            by_account: BTreeSet::new(),
            hand: 0,
            passed: 0,
        }
    }

    /// Whether somebody who holds `held` may have `bytes` more, now and before those who wait.
    pub(super) fn may_take(&self, held: u64, bytes: u64) -> bool {
        if held > 0 {
            return self.empty_handed.is_empty() && self.is_fair(held, bytes);
        }
        // Nobody is passed by more than the whole budget.
        let may_pass = self.empty_handed.is_empty() || self.passed.saturating_add(bytes) <= self.total;
        may_pass && signed(bytes) <= self.free
    }

    /// Whether somebody who cannot wait may have `bytes` beside the `held`: from what is beyond the reserve alone, and
    /// after those who hold nothing and wait.
    pub(super) fn may_begin(&self, held: u64, bytes: u64) -> bool {
        let is_free = signed(bytes.saturating_add(self.reserve())) <= self.free;
        self.empty_handed.is_empty() && is_free && (held == 0 || self.is_fair(held, bytes))
    }

    /// Says that somebody was given `bytes` before those who wait.
    pub(super) fn pass(&mut self, bytes: u64) {
        if !self.empty_handed.is_empty() {
            self.passed = self.passed.saturating_add(bytes);
        }
    }

    /// Has somebody wait; the ticket to leave with.
    pub(super) fn join(&mut self, waiter: Waiter) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if waiter.account.held() == 0 {
            self.empty_handed.insert(ticket, waiter);
        } else {
            self.by_account.insert((place(&waiter.account), ticket));
            self.others.insert(ticket, waiter);
        }
        ticket
    }

    /// Forgets who drew this ticket, if it still waits.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waiter> {
        if self.empty_handed.first_key_value().is_some_and(|(first, _)| *first == ticket) {
            self.passed = 0;
        }
        self.empty_handed.remove(&ticket).or_else(|| self.take_other(ticket))
    }

    /// Whether anybody waits.
    #[inline]
    pub(super) fn has_waiters(&self) -> bool {
        !self.empty_handed.is_empty() || !self.others.is_empty()
    }

    /// Says that `account` holds nothing any more: what waits of it is in turn from here on.
    pub(super) fn emptied(&mut self, account: &Account) {
        let place = place(account);
        while let Some(&(of, ticket)) = self.by_account.range((place, 0)..).next()
            && of == place
            && let Some(waiter) = self.take_other(ticket)
        {
            if self.empty_handed.first_key_value().is_none_or(|(first, _)| ticket < *first) {
                self.passed = 0;
            }
            self.empty_handed.insert(ticket, waiter);
        }
    }

    /// Somebody who waits and can have their share now, if one of the next `looks` can. Whoever is looked at and not
    /// served holds something, or waits for somebody who does: so somebody always looks again.
    pub(super) fn next_served(&mut self, looks: &mut usize) -> Option<Waiter> {
        if let Some(first) = self.empty_handed.first_entry() {
            if signed(first.get().bytes) > self.free {
                return None;
            }
            self.passed = 0;
            return Some(first.remove());
        }
        while *looks > 0 {
            *looks -= 1;
            let (&ticket, waiter) =
                self.others.range(self.hand..).next().or_else(|| self.others.first_key_value())?;
            self.hand = ticket + 1;
            if self.is_fair(waiter.account.held(), waiter.bytes) {
                return self.take_other(ticket);
            }
        }
        None
    }

    pub(super) fn reserve(&self) -> u64 {
        self.total / RESERVE_DIVISOR
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_account.len(), self.others.len());
        self.empty_handed.len() + self.others.len()
    }

    fn take_other(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.others.remove(&ticket)?;
        self.by_account.remove(&(place(&waiter.account), ticket));
        Some(waiter)
    }

    /// Whether as much is left free beyond the reserve as is held then.
    fn is_fair(&self, held: u64, bytes: u64) -> bool {
        let needed = held.saturating_add(bytes.saturating_mul(2)).saturating_add(self.reserve());
        signed(needed) <= self.free
    }
}

/// Tells accounts apart: who waits keeps its own where it is.
fn place(account: &Account) -> usize {
    std::ptr::from_ref(account).addr()
}
