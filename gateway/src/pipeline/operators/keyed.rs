//! What a rule remembers by key: at most so many keys, and of too many those are forgotten that were seen the longest ago.
//!
//! A key is kept as 128 bits of its hash under random seeds, so that nobody can choose keys that meet in one place. Two keys
//! with the same hash would be taken for one: with 100 million keys remembered that happens once in 10^30 new ones.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

/// The most parts, each with a lock of its own.
const SHARDS_MAX: u32 = 64;
/// Keys of a part at least: the fewer, the further apart parts are in how full they get.
const SHARD_KEYS: u32 = 4_096;
/// What the index takes of a key at most: after a growth that deletions called for, 32/7 places of five bytes.
#[cfg(test)]
const INDEX_BYTES: usize = 23;
/// No slot.
const NONE: u32 = u32::MAX;

/// See the module. Keys are spread over parts by their hash, and each forgets by itself: shortly before all are full some
/// of them are.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    seeds: [RandomState; 2],
    shards: Box<[Mutex<Shard<T>>]>,
}

/// A key, hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hashed([u64; 2]);

impl<T> Keyed<T> {
    /// What one key takes at most, in bytes, but for what `T` holds elsewhere.
    #[cfg(test)]
    pub(super) const KEY_BYTES: usize = size_of::<Slot<T>>() + INDEX_BYTES;

    /// Remembers `keys_max` keys, at least one. Memory is taken as they come.
    pub(super) fn new(keys_max: u32) -> Self {
        let keys_max = keys_max.clamp(1, NONE - 1);
        let count = (keys_max / SHARD_KEYS).clamp(1, SHARDS_MAX);
        let most = |shard| keys_max / count + u32::from(shard < keys_max % count);
        let shards = (0..count).map(|shard| Mutex::new(Shard::new(most(shard))));
        Self { seeds: [RandomState::new(), RandomState::new()], shards: shards.collect() }
    }

    /// Where `key` is remembered, or would be. Nobody else comes to this part of the keys while it is held.
    pub(super) fn at(&self, key: &[u8]) -> Place<'_, T> {
        let [first, second] = &self.seeds;
        self.of(Hashed([first.hash_one(key), second.hash_one(key)]))
    }

    /// The same, of a key that was hashed here.
    pub(super) fn of(&self, key: Hashed) -> Place<'_, T> {
        let Hashed([_, second]) = key;
        let position = usize::try_from(second % self.shards.len() as u64).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "there is at least one, and a remainder is less than their count"
        )]
        let shard = &self.shards[position];
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let found = shard.find(key);
        Place { shard, key, found }
    }

    /// How many keys are remembered, and in how many bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.fold((0, 0), |(keys, bytes), shard| {
            let slots = shard.slots.capacity() * size_of::<Slot<T>>();
            (keys + shard.index.len(), bytes + slots + shard.index.allocation_size())
        })
    }
}

/// One key's.
#[derive(Debug)]
pub(super) struct Place<'k, T> {
    shard: MutexGuard<'k, Shard<T>>,
    key: Hashed,
    found: u32,
}

impl<T> Place<'_, T> {
    /// The key.
    pub(super) fn key(&self) -> Hashed {
        self.key
    }

    /// What is remembered of it.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        self.shard.slots.get_mut(self.found as usize)?.kept.as_mut()
    }

    /// Says that it was seen.
    pub(super) fn touch(&mut self) {
        self.shard.touch(self.found);
    }

    /// Remembers `kept` of it, seen now.
    pub(super) fn put(mut self, kept: T) {
        match self.get() {
            Some(before) => {
                *before = kept;
                self.touch();
            }
            None => self.shard.add(self.key, kept),
        }
    }

    /// Forgets it.
    pub(super) fn forget(mut self) {
        let found = self.found;
        self.shard.remove(found);
    }
}

#[derive(Debug)]
struct Shard<T> {
    most: usize,
    index: HashTable<u32>,
    slots: Vec<Slot<T>>,
    newest: u32,
    oldest: u32,
    /// The first slot without a key; the others follow by `older`.
    free: u32,
}

#[derive(Debug)]
struct Slot<T> {
    key: Hashed,
    newer: u32,
    older: u32,
    /// None in a slot without a key.
    kept: Option<T>,
}

impl<T> Shard<T> {
    fn new(most: u32) -> Self {
        let most = most as usize;
        Self { most, index: HashTable::new(), slots: Vec::new(), newest: NONE, oldest: NONE, free: NONE }
    }

    fn find(&self, key: Hashed) -> u32 {
        let is_it = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|slot| slot.key == key);
        self.index.find(place(key), is_it).copied().unwrap_or(NONE)
    }

    fn add(&mut self, key: Hashed, kept: T) {
        if self.free == NONE && self.slots.len() >= self.most {
            self.remove(self.oldest);
        }
        let new = Slot { key, newer: NONE, older: NONE, kept: Some(kept) };
        let at = self.free;
        let at = match self.slots.get_mut(at as usize) {
            Some(slot) => {
                self.free = slot.older;
                *slot = new;
                at
            }
            None => self.extend(new),
        };
        let slots = &self.slots;
        let rehash = |slot: &u32| slots.get(*slot as usize).map_or(0, |slot| place(slot.key));
        self.index.insert_unique(place(key), at, rehash);
        self.link(at);
    }

    fn extend(&mut self, new: Slot<T>) -> u32 {
        let count = self.slots.len();
        if count == self.slots.capacity() {
            // By half as much again, and not beyond what is needed in the end.
            let more = (count / 2).max(16).min(self.most.saturating_sub(count));
            self.slots.reserve_exact(more);
        }
        self.slots.push(new);
        u32::try_from(count).unwrap_or(NONE)
    }

    fn touch(&mut self, at: u32) {
        if at != self.newest && at != NONE {
            self.unlink(at);
            self.link(at);
        }
    }

    fn remove(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at as usize) else { return };
        let found = self.index.find_entry(place(slot.key), |other| *other == at);
        if let Ok(entry) = found {
            entry.remove();
            self.unlink(at);
            let free = self.free;
            if let Some(slot) = self.slots.get_mut(at as usize) {
                slot.kept = None;
                slot.older = free;
            }
            self.free = at;
        }
    }

    /// Puts it before the newest.
    fn link(&mut self, at: u32) {
        let newest = std::mem::replace(&mut self.newest, at);
        if let Some(slot) = self.slots.get_mut(at as usize) {
            (slot.newer, slot.older) = (NONE, newest);
        }
        match self.slots.get_mut(newest as usize) {
            Some(second) => second.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(&Slot { newer, older, .. }) = self.slots.get(at as usize) else { return };
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// What the index goes by; the other half says which part.
fn place(Hashed([first, _]): Hashed) -> u64 {
    first
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn put(keyed: &Keyed<u64>, key: u64, kept: u64) {
        keyed.at(&key.to_le_bytes()).put(kept);
    }

    fn get(keyed: &Keyed<u64>, key: u64) -> Option<u64> {
        keyed.at(&key.to_le_bytes()).get().copied()
    }

    #[test]
    fn who_was_seen_the_longest_ago_is_forgotten_first() {
        let keyed = Keyed::new(3);
        (1..=3).for_each(|key| put(&keyed, key, key * 10));
        keyed.at(&1_u64.to_le_bytes()).touch();
        put(&keyed, 4, 40);
        assert_eq!([1, 2, 3, 4].map(|key| get(&keyed, key)), [Some(10), None, Some(30), Some(40)]);
        put(&keyed, 3, 31);
        put(&keyed, 5, 50);
        assert_eq!([1, 3, 4, 5].map(|key| get(&keyed, key)), [None, Some(31), Some(40), Some(50)]);
    }

    #[test]
    fn what_is_forgotten_makes_room() {
        let keyed = Keyed::new(2);
        (1..=2).for_each(|key| put(&keyed, key, key));
        keyed.at(&2_u64.to_le_bytes()).forget();
        keyed.at(&7_u64.to_le_bytes()).forget();
        put(&keyed, 3, 3);
        assert_eq!([1, 2, 3].map(|key| get(&keyed, key)), [Some(1), None, Some(3)]);
        assert_eq!(keyed.size().0, 2);
    }

    #[test]
    fn ten_million_keys_stay_within_the_cap_in_number_and_bytes() {
        const KEYS_MAX: u32 = 100_000;
        let keyed = Keyed::<u64>::new(KEYS_MAX);
        for key in 0..10_000_000_u64 {
            // As hashed: what is measured is not the hash.
            let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            keyed.of(Hashed([mixed.rotate_left(31), mixed])).put(key);
        }
        let (keys, bytes) = keyed.size();
        assert_eq!(keys, KEYS_MAX as usize);
        assert!(bytes <= keys * Keyed::<u64>::KEY_BYTES, "{bytes} bytes for {keys} keys");
    }

    #[test]
    fn nearly_as_many_as_the_cap_are_all_remembered() {
        let keyed = Keyed::<u64>::new(100_000);
        (0..90_000).for_each(|key| put(&keyed, key, key));
        assert!((0..90_000).all(|key| get(&keyed, key) == Some(key)));
    }

    #[test]
    fn seeds_are_of_each_store() {
        let [one, other] = [Keyed::<u64>::new(1), Keyed::new(1)];
        let key = |keyed: &Keyed<u64>| keyed.at(b"a").key();
        assert_eq!(key(&one), key(&one));
        assert_ne!(key(&one), key(&other), "who knows one process's keys knows nothing of another's");
    }

    proptest! {
        /// As a list that is looked through would do it.
        #[test]
        fn it_does_what_a_list_does(
            most in 1..20_u32,
            steps in prop::collection::vec((0..4_u8, 0..30_u64), 1..300),
        ) {
            let keyed = Keyed::new(most);
            let mut list = VecDeque::new();
            for (step, (what, key)) in (0_u64..).zip(steps) {
                let kept = list.iter().position(|(other, _)| *other == key);
                prop_assert_eq!(get(&keyed, key), kept.map(|at| { let (_, kept) = list[at]; kept }));
                let mut place = keyed.at(&key.to_le_bytes());
                match what {
                    0 | 1 => {
                        place.put(step);
                        kept.map(|at| list.remove(at));
                        list.push_front((key, step));
                        list.truncate(most as usize);
                    }
                    2 => {
                        place.touch();
                        drop(place);
                        let entry = kept.and_then(|at| list.remove(at));
                        list.extend(entry);
                        if entry.is_some() { list.rotate_right(1); }
                    }
                    _ => {
                        place.forget();
                        kept.map(|at| list.remove(at));
                    }
                }
                prop_assert_eq!(keyed.size().0, list.len());
            }
        }
    }
}
