//! Rule 7: endpoints that settle after a foreign event.
//!
//! Every event of a storm comes here, most of them for an endpoint that settles already. So endpoints are known by
//! a 64-bit hash of their ids only: 16 bytes each, no allocation, and one place in memory to look at. Two ids of
//! one hash would settle together, which is safe: what settles is loaded and answered, only not cached.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::limits::MAX_SETTLING;

/// An endpoint that settles.
#[derive(Clone, Copy, Debug)]
struct Settler {
    hash: u64,
    until_ms: u64,
}

/// Endpoints whose loads are not cached for a while; when there are too many of them, all are.
#[derive(Clone, Debug)]
pub struct Settling {
    table: HashTable<Settler>,
    /// One entry an endpoint: when to look at it again, which may be before its time is over.
    order: VecDeque<Settler>,
    all_until_ms: u64,
    hasher: FixedState,
}

impl Settling {
    /// Nothing settles; `seed` keeps crafted ids from colliding.
    pub fn new(seed: u64) -> Self {
        Self {
            table: HashTable::new(),
            order: VecDeque::new(),
            all_until_ms: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// Whether a load of `id` that begins now must not be cached.
    pub fn holds(&self, id: &str, mono_ms: u64) -> bool {
        if mono_ms < self.all_until_ms {
            return true;
        }
        if self.table.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(id);
        let found = self.table.find(hash, |settler| settler.hash == hash);
        found.is_some_and(|settler| mono_ms < settler.until_ms)
    }

    /// `id` settles until `until_ms`.
    pub fn hold(&mut self, id: &str, mono_ms: u64, until_ms: u64) {
        self.forget_past(mono_ms);
        if until_ms <= mono_ms {
            return;
        }
        let hash = self.hasher.hash_one(id);
        match self
            .table
            .entry(hash, |settler| settler.hash == hash, |settler| settler.hash)
        {
            Entry::Occupied(mut settler) => settler.get_mut().until_ms = until_ms,
            Entry::Vacant(_) if self.order.len() >= MAX_SETTLING => self.all_until_ms = until_ms,
            Entry::Vacant(place) => {
                let settler = Settler { hash, until_ms };
                place.insert(settler);
                self.order.push_back(settler);
            }
        }
    }

    fn forget_past(&mut self, mono_ms: u64) {
        while let Some(&first) = self.order.front().filter(|first| first.until_ms <= mono_ms) {
            self.order.pop_front();
            let found = self
                .table
                .find_entry(first.hash, |settler| settler.hash == first.hash);
            match found {
                Ok(settler) if settler.get().until_ms > mono_ms => self.order.push_back(*settler.get()),
                Ok(settler) => drop(settler.remove()),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_settles_for_its_time_and_others_do_not() {
        let mut settling = Settling::new(1);
        settling.hold("a", 10, 20);
        assert!(settling.holds("a", 19) && !settling.holds("a", 20) && !settling.holds("b", 15));
        settling.hold("a", 15, 25);
        assert!(settling.holds("a", 24));
        settling.hold("b", 30, 40);
        assert!(
            settling.table.len() == 1 && settling.order.len() == 1,
            "the past is forgotten"
        );
    }

    #[test]
    fn with_too_many_all_settle() {
        let mut settling = Settling::new(1);
        for number in 0..MAX_SETTLING {
            settling.hold(&number.to_string(), 0, 10);
        }
        assert!(!settling.holds("other", 5));
        settling.hold("one more", 5, 15);
        assert!(settling.holds("other", 14) && !settling.holds("other", 15));
        assert_eq!(settling.order.len(), MAX_SETTLING);
    }
}
