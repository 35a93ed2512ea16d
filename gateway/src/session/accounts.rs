//! Whose of the budget requests hold: each client by its name has one share over all of them, and so have the nameless
//! behind one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::budget::Account;
use super::registry::Key;

/// How many are kept before those that nobody holds are cleared away.
const LEAST_KEPT: usize = 64;

/// Whose requests.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Whose {
    /// One with session headers.
    Client(Key),
    /// One without: of the tenant's behind an address prefix.
    Nameless {
        /// Of its grant.
        tenant: Arc<str>,
        /// The bits of the address that count.
        prefix: (bool, u128),
    },
}

/// See the module. Of those without a request under way or events unsettled, no more are kept than of the others.
#[derive(Debug)]
pub(super) struct Accounts(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    by_owner: HashMap<Whose, Weak<Account>>,
    clear_at: usize,
}

impl Default for Accounts {
    fn default() -> Self {
        Self(Mutex::new(Kept { by_owner: HashMap::new(), clear_at: LEAST_KEPT }))
    }
}

impl Accounts {
    /// The account of `whose`, the same for as long as anybody holds it.
    pub(super) fn of(&self, whose: Whose) -> Arc<Account> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = kept.by_owner.get(&whose).and_then(Weak::upgrade) {
            return account;
        }
        if kept.by_owner.len() >= kept.clear_at {
            kept.by_owner.retain(|_, account| account.strong_count() > 0);
            kept.clear_at = LEAST_KEPT.max(2 * kept.by_owner.len());
        }
        let account = Arc::default();
        kept.by_owner.insert(whose, Arc::downgrade(&account));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Whose {
        Whose::Client(Key { tenant: "default".into(), client: name.into() })
    }

    #[test]
    fn an_account_is_its_owners_for_as_long_as_it_is_held() {
        let accounts = Accounts::default();
        let first = accounts.of(client("a"));
        assert!(Arc::ptr_eq(&first, &accounts.of(client("a"))));
        assert!(!Arc::ptr_eq(&first, &accounts.of(client("b"))));
        let nameless = |bits| Whose::Nameless { tenant: "default".into(), prefix: (true, bits) };
        assert!(!Arc::ptr_eq(&accounts.of(nameless(1)), &first));
    }

    #[test]
    fn memory_stays_flat_over_many_owners() {
        let accounts = Accounts::default();
        let held: Vec<_> = (0..100).map(|number| accounts.of(client(&format!("held-{number}")))).collect();
        for number in 0..10_000 {
            accounts.of(client(&format!("gone-{number}")));
        }
        assert!(accounts.0.lock().unwrap().by_owner.len() <= 2 * held.len() + 1);
        assert!(Arc::ptr_eq(&held[7], &accounts.of(client("held-7"))), "who is there is not forgotten");
    }
}
