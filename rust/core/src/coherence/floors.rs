//! Rule 6: the version that an event told of is the least that the store may answer for its endpoint.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::limits::{FLOOR_LEAST_AGE_MS, MAX_FLOORS};

/// What a load found, as far as floors care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A document, or a tombstone, of this version; None when it has none.
    Version(Option<i64>),
    /// No document.
    Absent,
}

#[derive(Clone, Copy, Debug)]
struct Floor {
    version: i64,
    set_ms: u64,
    /// Set by an unregistered event: no document is then as good as a tombstone.
    gone: bool,
}

/// The floors of all endpoints heard of lately.
///
/// `order` holds every endpoint once, by the time it was put there; one whose floor was raised since goes to
/// the back again when its turn comes, so that a busy endpoint costs no more than an idle one.
#[derive(Clone, Debug)]
pub struct Floors {
    floors: HashMap<Arc<str>, Floor, FixedState>,
    order: VecDeque<(u64, Arc<str>)>,
    age_ms: u64,
    /// Until then a floor that had to give way might still have been needed.
    short_until_ms: u64,
}

impl Floors {
    /// No floors; each will hold for `age_ms`.
    pub fn new(age_ms: u64, seed: u64) -> Self {
        Self {
            floors: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            age_ms,
            short_until_ms: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.floors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.floors.is_empty()
    }

    /// An event left `id` at `version`; `gone`: it was unregistered.
    pub fn raise(&mut self, id: &str, version: i64, gone: bool, mono_ms: u64) {
        self.forget_past(mono_ms);
        if let Some(floor) = self.floors.get_mut(id) {
            if version >= floor.version {
                *floor = Floor {
                    version,
                    set_ms: mono_ms,
                    gone,
                };
            }
            return;
        }
        while self.floors.len() >= MAX_FLOORS {
            self.give_way();
        }
        let id: Arc<str> = id.into();
        self.order.push_back((mono_ms, Arc::clone(&id)));
        let floor = Floor {
            version,
            set_ms: mono_ms,
            gone,
        };
        self.floors.insert(id, floor);
    }

    /// A foreign event: its writer may have set the version back. The record stays, so that endpoints with
    /// both kinds of writers are in `order` once.
    pub fn lower(&mut self, id: &str) {
        if let Some(floor) = self.floors.get_mut(id) {
            floor.version = i64::MIN;
            floor.gone = true;
        }
    }

    /// All are void.
    pub fn clear(&mut self) {
        self.floors.clear();
        self.order.clear();
        self.short_until_ms = 0;
    }

    /// Whether the store may answer this.
    pub fn admit(&self, id: &str, found: Found, mono_ms: u64) -> bool {
        match (self.get(id, mono_ms), found) {
            (None, _) | (Some(_), Found::Version(None)) => true,
            (Some(floor), Found::Version(Some(version))) => version >= floor.version,
            (Some(floor), Found::Absent) => floor.gone,
        }
    }

    /// Whether `id` may have had a floor that had to give way too early.
    pub fn may_lack(&self, id: &str, mono_ms: u64) -> bool {
        mono_ms < self.short_until_ms && self.get(id, mono_ms).is_none()
    }

    fn get(&self, id: &str, mono_ms: u64) -> Option<&Floor> {
        let holds = |floor: &&Floor| mono_ms < floor.set_ms.saturating_add(self.age_ms);
        self.floors.get(id).filter(holds)
    }

    fn forget_past(&mut self, mono_ms: u64) {
        let age_ms = self.age_ms;
        let past = |(put, _): &(u64, Arc<str>)| put.saturating_add(age_ms) <= mono_ms;
        while self.order.front().is_some_and(past) {
            self.take_oldest();
        }
    }

    fn give_way(&mut self) {
        if let Some(floor) = self.take_oldest() {
            let needed_until = floor.set_ms.saturating_add(FLOOR_LEAST_AGE_MS);
            self.short_until_ms = self.short_until_ms.max(needed_until);
        }
    }

    /// Removes the first in order, or puts it at the back when it was raised since it was put there.
    fn take_oldest(&mut self) -> Option<Floor> {
        let (put, id) = self.order.pop_front()?;
        let floor = *self.floors.get(&id)?;
        if floor.set_ms > put {
            self.order.push_back((floor.set_ms, id));
            return None;
        }
        self.floors.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floors() -> Floors {
        Floors::new(1000, 7)
    }

    #[test]
    fn less_than_an_event_told_of_is_refused_for_its_age() {
        let mut floors = floors();
        floors.raise("a", 5, false, 100);
        for (found, admitted) in [
            (Found::Version(Some(4)), false),
            (Found::Version(Some(5)), true),
            (Found::Version(Some(6)), true),
            (Found::Version(None), true),
            (Found::Absent, false),
        ] {
            assert_eq!(floors.admit("a", found, 1099), admitted, "{found:?}");
            assert!(floors.admit("a", found, 1100) && floors.admit("b", found, 100));
        }
    }

    #[test]
    fn late_events_lower_nothing_and_unregistering_makes_absence_good() {
        let mut floors = floors();
        floors.raise("a", 5, true, 0);
        floors.raise("a", 4, false, 1);
        assert!(!floors.admit("a", Found::Version(Some(4)), 2));
        assert!(floors.admit("a", Found::Absent, 2));
        floors.raise("a", 6, false, 3);
        assert!(!floors.admit("a", Found::Absent, 4));
        floors.lower("a");
        assert!(floors.admit("a", Found::Absent, 5) && floors.admit("a", Found::Version(Some(1)), 5));
    }

    #[test]
    fn a_busy_endpoint_is_in_order_once_and_outlives_idle_ones() {
        let mut floors = floors();
        floors.raise("busy", 0, false, 0);
        floors.raise("idle", 0, false, 0);
        for version in 1..5000 {
            floors.raise("busy", version, false, version.unsigned_abs());
        }
        assert!(floors.order.len() <= 2, "{:?}", floors.order);
        assert_eq!(floors.len(), 1);
        assert!(!floors.admit("busy", Found::Version(Some(4998)), 5998));
    }

    #[test]
    fn when_full_the_oldest_gives_way_and_what_has_no_floor_is_held_back() {
        let mut floors = Floors::new(1_000_000, 7);
        for number in 0..MAX_FLOORS {
            floors.raise(&number.to_string(), 1, false, 10);
        }
        assert!(!floors.may_lack("other", 10));
        floors.raise("one more", 1, false, 20);
        assert_eq!((floors.len(), floors.order.len()), (MAX_FLOORS, MAX_FLOORS));
        assert!(floors.may_lack("0", 20) && floors.may_lack("other", 10 + FLOOR_LEAST_AGE_MS - 1));
        assert!(!floors.may_lack("1", 20) && !floors.may_lack("other", 10 + FLOOR_LEAST_AGE_MS));
        floors.clear();
        assert!(floors.is_empty() && !floors.may_lack("0", 20));
    }
}
