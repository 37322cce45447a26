//! A least-recently-used cache bounded in bytes.
//!
//! Slots lie in one vector and are linked by index; the table holds indices only, found by a 32-bit hash that
//! the slot repeats, so that growing the table touches no entry. Slots of an older epoch count as absent: a
//! flush is one addition, and what it made void is reused or evicted in passing.

mod keyed;

pub use keyed::Keyed;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;

const NIL: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Slot<V> {
    /// None only while the slot is on the free list.
    value: Option<V>,
    hash: u32,
    epoch: u32,
    prev: u32,
    next: u32,
    expires_ms: u64,
}

/// Bounds of one cache.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes it may hold: entries, slots and index.
    pub max_bytes: usize,
    /// Oldest age served, in milliseconds; each entry's own is up to a tenth less, by its hash.
    pub max_age_ms: u64,
}

/// What a look-up came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'a, V> {
    /// Present and young enough.
    Hit(&'a V),
    /// Not there.
    Absent,
    /// It was there but beyond its age; it is gone now.
    Expired,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache<V> {
    table: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    /// Most recently used.
    head: u32,
    /// Least recently used, evicted first.
    tail: u32,
    bytes: usize,
    bounds: Bounds,
    hasher: FixedState,
}

impl<V: Keyed> Cache<V> {
    /// Bytes charged for a slot beside its value: the slot, and its share of the index when that is half full.
    pub const SLOT_BYTES: usize = size_of::<Slot<V>>() + 10;

    /// An empty cache; `seed` keeps crafted ids from colliding.
    pub fn new(bounds: Bounds, seed: u64) -> Self {
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            head: NIL,
            tail: NIL,
            bytes: 0,
            bounds,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// Bytes held, at most `max_bytes`.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries held, void ones of older epochs included until they are reused.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks `id` up and marks it as most recently used.
    pub fn get(&mut self, id: &str, epoch: u32, mono_ms: u64) -> Lookup<'_, V> {
        let Some(index) = self.find(id) else {
            return Lookup::Absent;
        };
        let slot = &self.slots[index as usize];
        if slot.epoch != epoch {
            self.drop_slot(index);
            return Lookup::Absent;
        }
        if slot.expires_ms <= mono_ms {
            self.drop_slot(index);
            return Lookup::Expired;
        }
        if self.head != index {
            self.unlink(index);
            self.push_front(index);
        }
        self.slots[index as usize]
            .value
            .as_ref()
            .map_or(Lookup::Absent, Lookup::Hit)
    }

    /// Looks `id` up without using it.
    pub fn peek(&self, id: &str, epoch: u32) -> Option<&V> {
        let slot = &self.slots[self.find(id)? as usize];
        slot.value.as_ref().filter(|_| slot.epoch == epoch)
    }

    /// Up to `count` values from slot `at` (modulo their number) on. Looks at no more than 16 slots for each, so
    /// that void slots, of which there are many after a flush, cost no more than entries.
    pub fn sample(&self, count: usize, at: u64, epoch: u32) -> impl Iterator<Item = &V> {
        let from = (at % self.slots.len().max(1) as u64) as usize;
        let slots = self.slots[from..].iter().chain(&self.slots[..from]);
        slots
            .take(count.saturating_mul(16))
            .filter(move |slot| slot.epoch == epoch)
            .filter_map(|slot| slot.value.as_ref())
            .take(count)
    }

    /// Stores `value` in the place of what its id had; returns how many were evicted for it, or gives the
    /// value back when it alone is over the bound.
    pub fn insert(&mut self, value: V, epoch: u32, mono_ms: u64) -> Result<u64, V> {
        self.remove(value.id());
        let size = Self::charge(&value);
        if size > self.bounds.max_bytes {
            return Err(value);
        }
        let evicted = self.evict_down_to(self.bounds.max_bytes - size, epoch);
        let hash = self.hash(value.id());
        let expires_ms = mono_ms.saturating_add(self.age(hash));
        let slot = Slot {
            value: Some(value),
            hash,
            epoch,
            prev: NIL,
            next: NIL,
            expires_ms,
        };
        let index = self.place(slot);
        self.bytes += size;
        self.push_front(index);
        let slots = &self.slots;
        self.table
            .insert_unique(spread(hash), index, |&at| spread(slots[at as usize].hash));
        Ok(evicted)
    }

    /// Puts what `change` makes of the value of `id` in its place, where it keeps its age and its place in the order
    /// of use; then evicts if that took too much room, and says how many entries. A value for which `change` has
    /// nothing, which is of another epoch or beyond its age, is dropped: then, or if there is none, this is None.
    pub fn revise(
        &mut self,
        id: &str,
        epoch: u32,
        mono_ms: u64,
        change: impl FnOnce(&V) -> Option<V>,
    ) -> Option<u64> {
        let index = self.find(id)?;
        let slot = &self.slots[index as usize];
        let usable = slot.epoch == epoch && mono_ms < slot.expires_ms;
        let changed = slot.value.as_ref().filter(|_| usable).and_then(change);
        let Some(changed) = changed else {
            self.drop_slot(index);
            return None;
        };
        self.bytes += Self::charge(&changed);
        if let Some(old) = self.slots[index as usize].value.replace(changed) {
            self.bytes -= Self::charge(&old);
        }
        Some(self.evict_down_to(self.bounds.max_bytes, epoch))
    }

    /// Removes `id`; whether it was there (in any epoch).
    pub fn remove(&mut self, id: &str) -> bool {
        let found = self.find(id);
        if let Some(index) = found {
            self.drop_slot(index);
        }
        found.is_some()
    }

    /// Evicts until no more than `bytes` are held; how many entries of this epoch went.
    fn evict_down_to(&mut self, bytes: usize, epoch: u32) -> u64 {
        let mut evicted = 0;
        while self.bytes > bytes {
            evicted += u64::from(self.slots[self.tail as usize].epoch == epoch);
            self.drop_slot(self.tail);
        }
        evicted
    }

    fn find(&self, id: &str) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        let hash = self.hash(id);
        self.table
            .find(spread(hash), |&index| self.is(index, hash, id))
            .copied()
    }

    fn charge(value: &V) -> usize {
        Self::SLOT_BYTES + value.heap_size()
    }

    fn age(&self, hash: u32) -> u64 {
        let tenth = self.bounds.max_age_ms / 10;
        self.bounds.max_age_ms - ((u128::from(tenth) * u128::from(hash)) >> 32) as u64
    }

    fn hash(&self, id: &str) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    fn is(&self, index: u32, hash: u32, id: &str) -> bool {
        let slot = &self.slots[index as usize];
        slot.hash == hash && slot.value.as_ref().is_some_and(|value| value.id() == id)
    }

    fn place(&mut self, slot: Slot<V>) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn drop_slot(&mut self, index: u32) {
        let hash = self.slots[index as usize].hash;
        if let TableEntry::Occupied(found) = self.table.entry(
            spread(hash),
            |&at| at == index,
            |&at| spread(self.slots[at as usize].hash),
        ) {
            found.remove();
        }
        self.unlink(index);
        if let Some(value) = self.slots[index as usize].value.take() {
            self.bytes -= Self::charge(&value);
        }
        self.free.push(index);
    }

    fn unlink(&mut self, index: u32) {
        let (prev, next) = (self.slots[index as usize].prev, self.slots[index as usize].next);
        match prev {
            NIL => self.head = next,
            _ => self.slots[prev as usize].next = next,
        }
        match next {
            NIL => self.tail = prev,
            _ => self.slots[next as usize].prev = prev,
        }
    }

    fn push_front(&mut self, index: u32) {
        let head = self.head;
        let slot = &mut self.slots[index as usize];
        (slot.prev, slot.next) = (NIL, head);
        match head {
            NIL => self.tail = index,
            _ => self.slots[head as usize].prev = index,
        }
        self.head = index;
    }
}

/// The table wants 64 good bits; the slots keep 32.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
