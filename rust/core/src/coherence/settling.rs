//! Rule 7: endpoints that settle after a foreign event.
//!
//! Every event of a storm comes here, most of them for an endpoint that settles already. So endpoints are known by
//! a 64-bit hash of their ids only: 16 bytes each, no allocation, and one place in memory to look at. Two ids of
//! one hash would settle together, which is safe: what settles is loaded and answered, only not cached. Those that
//! have settled are swept out when the table is to grow, not one by one: that would be another place each.
//!
//! Even one place an event is far away in a table of megabytes, and waiting for memory is most of what an event
//! costs here. So events are put down some at a time, where the waits overlap, or when a load asks.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::limits::MAX_SETTLING;

/// Events that are put down together: 1.5 KiB, and more than a processor fetches at a time.
const TOGETHER: usize = 64;

/// Fewest endpoints for which a sweep is worth its while.
const LEAST_SWEPT: usize = 1024;

/// An endpoint that settles, or has settled and was not swept out yet.
#[derive(Clone, Copy, Debug)]
struct Settler {
    hash: u64,
    until_ms: u64,
}

/// What an event said, not put down yet.
#[derive(Clone, Copy, Debug)]
struct Heard {
    settler: Settler,
    at_ms: u64,
}

/// Endpoints whose loads are not cached for a while; when there are too many of them, all are.
#[derive(Clone, Debug)]
pub struct Settling {
    table: HashTable<Settler>,
    /// Fewer than [`TOGETHER`], in the order in which they came.
    heard: Vec<Heard>,
    /// With so many endpoints in the table the next event sweeps it.
    room: usize,
    /// No sweep before this.
    sweep_ms: u64,
    all_until_ms: u64,
    hasher: FixedState,
}

impl Settling {
    /// Nothing settles; `seed` keeps crafted ids from colliding.
    pub fn new(seed: u64) -> Self {
        Self {
            table: HashTable::new(),
            heard: Vec::new(),
            room: LEAST_SWEPT,
            sweep_ms: 0,
            all_until_ms: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// Whether a load of `id` that begins now must not be cached.
    pub fn holds(&mut self, id: &str, mono_ms: u64) -> bool {
        self.put_down();
        if mono_ms < self.all_until_ms {
            return true;
        }
        if self.table.is_empty() {
            return false;
        }
        let found = self.find(self.hasher.hash_one(id));
        found.is_some_and(|settler| mono_ms < settler.until_ms)
    }

    /// `id` settles until `until_ms`.
    pub fn hold(&mut self, id: &str, mono_ms: u64, until_ms: u64) {
        if until_ms <= mono_ms {
            return;
        }
        let hash = self.hasher.hash_one(id);
        let settler = Settler { hash, until_ms };
        self.heard.push(Heard {
            settler,
            at_ms: mono_ms,
        });
        if self.heard.len() >= TOGETHER {
            self.put_down();
        }
    }

    /// Puts down what was heard.
    fn put_down(&mut self) {
        let mut heard = std::mem::take(&mut self.heard);
        // Fetches what the loop below needs: here no step waits for the one before it.
        let new = |heard: &&Heard| self.find(heard.settler.hash).is_none();
        let new = heard.iter().filter(new).count();
        self.table.reserve(new, |settler| settler.hash);
        for heard in heard.drain(..) {
            self.put(heard);
        }
        self.heard = heard;
    }

    fn find(&self, hash: u64) -> Option<&Settler> {
        self.table.find(hash, |settler| settler.hash == hash)
    }

    fn put(&mut self, heard: Heard) {
        let Settler { hash, until_ms } = heard.settler;
        if self.table.len() >= self.room {
            self.make_room(heard.at_ms, until_ms);
        }
        let full = self.table.len() >= MAX_SETTLING;
        match self
            .table
            .entry(hash, |settler| settler.hash == hash, |settler| settler.hash)
        {
            Entry::Occupied(mut settler) => settler.get_mut().until_ms = until_ms,
            Entry::Vacant(_) if full => self.all_until_ms = until_ms,
            Entry::Vacant(place) => drop(place.insert(heard.settler)),
        }
    }

    /// Sweeps out what has settled. Each sweep but those of a nearly full table is paid for by as many endpoints
    /// that came since the last; those are as far apart as a sixteenth of what an endpoint takes to settle.
    fn make_room(&mut self, mono_ms: u64, until_ms: u64) {
        if mono_ms < self.sweep_ms {
            return;
        }
        self.table.retain(|settler| mono_ms < settler.until_ms);
        let left = self.table.len();
        self.room = (2 * left).clamp(LEAST_SWEPT, MAX_SETTLING);
        if left > MAX_SETTLING / 2 {
            self.sweep_ms = mono_ms + (until_ms - mono_ms) / 16;
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
        settling.hold("a", 30, 30);
        assert!(!settling.holds("a", 30));
    }

    #[test]
    fn the_past_is_swept_out() {
        let mut settling = Settling::new(1);
        for number in 0..20 * LEAST_SWEPT as u64 {
            settling.hold(&number.to_string(), number, number + 10);
            assert!(settling.table.len() <= LEAST_SWEPT);
            assert!(settling.holds(&number.to_string(), number + 9));
        }
        for number in 0..5 * LEAST_SWEPT {
            settling.hold(&number.to_string(), 100_000, 100_010);
        }
        assert_eq!(
            settling.table.len(),
            5 * LEAST_SWEPT,
            "what settles is not swept out"
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
        assert_eq!(settling.table.len(), MAX_SETTLING);
        settling.hold("later", 20, 30);
        assert!(settling.holds("later", 29) && !settling.holds("other", 20));
        assert_eq!(settling.table.len(), 1, "there is room again");
    }
}
