//! Things by key, at most so many: the idle ones are forgotten first.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

/// Places looked at to find an idle one: with half of them idle, one in 65,000 times it finds none.
const LOOKS: usize = 16;

/// What can be forgotten.
pub(super) trait Forget {
    /// From when on nothing is lost by it.
    fn idle_at(&self) -> u64;
}

/// See the module. A key is kept as its hash under a random seed: of 100,000 keys, two share a place once in 4 billion
/// stores.
#[derive(Debug)]
pub(super) struct Store<T> {
    most: usize,
    seed: RandomState,
    keys: Gauge,
    places: Mutex<Places<T>>,
}

#[derive(Debug)]
struct Places<T> {
    by_key: HashMap<u64, usize>,
    all: Vec<(u64, Arc<T>)>,
    /// Where the next idle one is looked for.
    hand: usize,
}

impl<T: Forget + Default> Store<T> {
    /// Keeps `most` at once, at least one; `keys` says how many there are.
    pub(super) fn new(most: usize, keys: Gauge) -> Self {
        let places = Places { by_key: HashMap::new(), all: Vec::new(), hand: 0 };
        Self { most: most.max(1), seed: RandomState::new(), keys, places: Mutex::new(places) }
    }

    /// What is kept under `key`, a new one if there is none. Takes constant time: where everything is taken, what is
    /// idle makes room; else what is in nobody's hands and will be idle first; else what is in somebody's.
    pub(super) fn get(&self, key: impl Hash, now: u64) -> Arc<T> {
        let key = self.seed.hash_one(key);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kept)) = places.by_key.get(&key).and_then(|&place| places.all.get(place)) {
            return Arc::clone(kept);
        }
        let new = Arc::new(T::default());
        if places.all.len() < self.most {
            let place = places.all.len();
            places.by_key.insert(key, place);
            places.all.push((key, Arc::clone(&new)));
            self.keys.inc();
        } else {
            places.replace(key, Arc::clone(&new), now);
        }
        new
    }
}

impl<T: Forget> Places<T> {
    fn replace(&mut self, key: u64, new: Arc<T>, now: u64) {
        let mut best: Option<((bool, u64), usize)> = None;
        for _ in 0..LOOKS.min(self.all.len()) {
            self.hand = (self.hand + 1) % self.all.len();
            let Some((_, kept)) = self.all.get(self.hand) else { break };
            let is_held = Arc::strong_count(kept) > 1;
            // All idle ones are as good.
            let rank = (is_held, kept.idle_at().max(now));
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, self.hand));
            }
            if rank == (false, now) {
                break;
            }
        }
        let Some((_, place)) = best else { return };
        if let Some(slot) = self.all.get_mut(place) {
            let (forgotten, _) = std::mem::replace(slot, (key, new));
            self.by_key.remove(&forgotten);
            self.by_key.insert(key, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Kept(AtomicU64);

    impl Forget for Kept {
        fn idle_at(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn store(most: usize) -> Store<Kept> {
        Store::new(most, Gauge::default())
    }

    #[test]
    fn the_same_key_has_the_same() {
        let store = store(2);
        let (one, again, other) = (store.get("a", 0), store.get("a", 0), store.get("b", 0));
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
        assert_eq!(store.keys.get(), 2);
    }

    #[test]
    fn the_idle_make_room_and_the_busy_stay() {
        let store = store(10);
        for key in 0..10_u64 {
            // All but the key 3 are busy for longer or shorter.
            store.get(key, 0).0.store(if key == 3 { 5 } else { 100 + key }, Ordering::Relaxed);
        }
        store.get("new", 10);
        assert_eq!(store.get(3_u64, 10).idle_at(), 0, "it was forgotten, and took the place of the next");
        for key in [0_u64, 1, 2, 4, 5, 6, 7, 8, 9] {
            if key != 0 {
                assert_ne!(store.get(key, 10).idle_at(), 0, "{key}");
            }
        }
        assert_eq!(store.keys.get(), 10);
    }

    #[test]
    fn who_will_be_idle_first_goes_when_nobody_is() {
        let store = store(4);
        for key in 0..4_u64 {
            store.get(key, 0).0.store(100 - key, Ordering::Relaxed);
        }
        store.get("new", 1).0.store(1_000, Ordering::Relaxed);
        assert_eq!([0, 1, 2].map(|key: u64| store.get(key, 1).idle_at()), [100, 99, 98]);
    }

    #[test]
    fn what_is_in_use_is_not_forgotten_while_there_is_anything_else() {
        let store = store(8);
        let held: Vec<_> = (0..7_u64).map(|key| store.get(key, 0)).collect();
        for key in 100..1_000_u64 {
            store.get(key, 0).0.store(u64::MAX, Ordering::Relaxed);
        }
        for (key, held) in (0_u64..).zip(&held) {
            assert!(Arc::ptr_eq(held, &store.get(key, 0)), "{key}");
        }
    }

    #[test]
    fn with_all_in_use_it_still_holds_no_more() {
        let store = store(4);
        let held: Vec<_> = (0..100_u64).map(|key| store.get(key, 0)).collect();
        assert_eq!((store.keys.get(), held.len()), (4, 100));
        let places = store.places.lock().unwrap();
        assert_eq!((places.all.len(), places.by_key.len()), (4, 4));
    }

    #[test]
    fn it_stays_as_large_as_it_was_over_many_names() {
        let store = store(1_000);
        for key in 0..300_000_u64 {
            store.get(key, key).0.store(key + 1, Ordering::Relaxed);
        }
        let places = store.places.lock().unwrap();
        assert_eq!((places.all.len(), places.by_key.len()), (1_000, 1_000));
        assert!(places.all.capacity() <= 2_048 && places.by_key.capacity() <= 4_096);
    }
}
