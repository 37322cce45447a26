//! Gets that wait for loads: flights, batches, and who is answered by which.
//!
//! A *get* is here whatever asks for one endpoint: its metadata, its keys, or a part of a request about several. A
//! *flight* is one endpoint and the gets that one load of it will answer. It is queued until [`Park::begin`] takes
//! it into a load; from that moment, its lease, it is running. An endpoint has at most one queued flight, its
//! youngest; running ones before it are those that an event, a new epoch or a get on the callback path has cut off
//! from later gets.

mod landing;
mod waiter;

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::bugs::{Bug, Bugs};

pub use landing::Landing;
pub use waiter::{Asked, Waiter};

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Running { load: u64 },
}

#[derive(Clone, Debug)]
struct Flight {
    state: State,
    /// Later gets must not join, and the result must not be cached.
    cut: bool,
    cacheable: bool,
    /// How many loads of it returned less than they should have.
    reloads: u8,
    /// The version that an older flight was answered with meanwhile: less would be a step back.
    least: i64,
    waiters: Vec<Waiter>,
}

/// Whether a parked get needs a load of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// It waits for a flight that was there.
    Joined,
    /// A flight was queued for it.
    Queued,
}

/// Bounds of what may wait.
#[derive(Clone, Copy, Debug)]
pub struct ParkBounds {
    /// Most gets.
    pub max_waiters: usize,
    /// Most bytes of requests.
    pub max_bytes: usize,
}

/// All gets that wait.
#[derive(Clone, Debug)]
pub struct Park {
    endpoints: HashMap<Arc<str>, Vec<Flight>, FixedState>,
    queue: VecDeque<Arc<str>>,
    loads: HashMap<u64, Vec<Arc<str>>, FixedState>,
    next_load: u64,
    waiters: usize,
    bytes: usize,
    /// No get that waits arrived before this.
    oldest_ms: u64,
    bounds: ParkBounds,
    bugs: Bugs,
}

impl Park {
    /// Nothing waits.
    pub fn new(bounds: ParkBounds, seed: u64) -> Self {
        Self {
            endpoints: HashMap::with_hasher(FixedState::with_seed(seed)),
            queue: VecDeque::new(),
            loads: HashMap::with_hasher(FixedState::with_seed(seed)),
            next_load: 1,
            waiters: 0,
            bytes: 0,
            oldest_ms: u64::MAX,
            bounds,
            bugs: Bugs::default(),
        }
    }

    /// Breaks one rule.
    #[cfg(feature = "bug-switches")]
    pub fn break_with(&mut self, bugs: Bugs) {
        self.bugs = bugs;
    }

    /// Gets that wait.
    pub fn waiters(&self) -> usize {
        self.waiters
    }

    /// Bytes of requests that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Flights that no load has taken yet.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Loads that have begun and not ended.
    pub fn running(&self) -> usize {
        self.loads.len()
    }

    /// Whether there is room for so many more gets of so many bytes together.
    pub fn admits(&self, waiters: usize, bytes: usize) -> bool {
        self.waiters + waiters <= self.bounds.max_waiters && self.bytes + bytes <= self.bounds.max_bytes
    }

    /// Counts bytes that belong to waiting gets and are kept elsewhere.
    pub fn charge(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Gives back what was charged.
    pub fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Parks a get that was admitted. `alone`: a running flight will not do.
    pub fn park(&mut self, id: &str, waiter: Waiter, alone: bool) -> Parked {
        self.waiters += 1;
        self.bytes += waiter.size();
        self.oldest_ms = self.oldest_ms.min(waiter.arrived_ms);
        let joins_any = self.bugs.has(Bug::GetsJoinVoidLoads);
        if let Some(flights) = self.endpoints.get_mut(id) {
            let joined = flights
                .last_mut()
                .filter(|last| last.state == State::Queued || !(last.cut || alone) || joins_any);
            if let Some(flight) = joined {
                flight.waiters.push(waiter);
                return Parked::Joined;
            }
        }
        self.queue(id, vec![waiter], 0);
        Parked::Queued
    }

    /// Parks the gets of a flight that landed in vain; those that a younger queued flight has come behind them.
    pub fn park_again(&mut self, id: &str, landing: Landing) {
        let Landing {
            mut waiters, reloads, ..
        } = landing;
        self.waiters += waiters.len();
        self.bytes += waiters.iter().map(Waiter::size).sum::<usize>();
        let arrivals = waiters.iter().map(|waiter| waiter.arrived_ms);
        self.oldest_ms = arrivals.fold(self.oldest_ms, u64::min);
        let flights = self.endpoints.get_mut(id);
        match flights.and_then(|flights| flights.last_mut()) {
            Some(queued) if queued.state == State::Queued => {
                waiters.append(&mut queued.waiters);
                queued.waiters = waiters;
                queued.reloads = queued.reloads.max(reloads + 1);
            }
            _ => self.queue(id, waiters, reloads + 1),
        }
    }

    fn queue(&mut self, id: &str, waiters: Vec<Waiter>, reloads: u8) {
        let id: Arc<str> = id.into();
        let flight = Flight {
            state: State::Queued,
            cut: false,
            cacheable: true,
            reloads,
            least: i64::MIN,
            waiters,
        };
        // One flight is all that most endpoints ever have.
        let flights = self.endpoints.entry(Arc::clone(&id));
        flights.or_insert_with(|| Vec::with_capacity(1)).push(flight);
        self.queue.push_back(id);
    }

    /// Takes up to `max` queued flights, oldest first, as one load. `cacheable` tells of each id whether a
    /// load of it that begins now may be cached.
    pub fn begin(
        &mut self,
        max: usize,
        mut cacheable: impl FnMut(&str) -> bool,
    ) -> Option<(u64, &[Arc<str>])> {
        if self.queue.is_empty() || max == 0 {
            return None;
        }
        let load = self.next_load;
        self.next_load += 1;
        let ids: Vec<Arc<str>> = self.queue.drain(..max.min(self.queue.len())).collect();
        for id in &ids {
            let queued = self.endpoints.get_mut(id).and_then(|flights| flights.last_mut());
            if let Some(flight) = queued {
                flight.state = State::Running { load };
                flight.cacheable = cacheable(id);
                flight.least = i64::MIN;
            }
        }
        Some((load, self.loads.entry(load).or_insert(ids)))
    }

    /// Ends a load: the ids it was for, or None when no such load is running.
    pub fn end(&mut self, load: u64) -> Option<Vec<Arc<str>>> {
        self.loads.remove(&load)
    }

    /// The load has a result for `id`: its flight and all older ones are answered by it. None when a younger
    /// load answered them before.
    pub fn land(&mut self, load: u64, id: &str) -> Option<Landing> {
        let EntryRef::Occupied(mut found) = self.endpoints.entry_ref(id) else {
            return None;
        };
        let flights = found.get_mut();
        let at = flights
            .iter()
            .position(|flight| flight.state == State::Running { load })?;
        let cacheable = flights[at].cacheable && !flights[at].cut;
        let (reloads, least) = (flights[at].reloads, flights[at].least);
        let mut waiters = Vec::new();
        for flight in flights.drain(..=at) {
            if waiters.is_empty() {
                waiters = flight.waiters;
            } else {
                waiters.extend(flight.waiters);
            }
        }
        let others = !flights.is_empty();
        if !others {
            found.remove();
        }
        self.left(&waiters);
        Some(Landing {
            waiters,
            cacheable,
            reloads,
            least,
            others,
        })
    }

    /// Gets were answered with this version: loads that began later but read earlier must not take that back.
    pub fn answered_with(&mut self, id: &str, version: i64) {
        if self.bugs.has(Bug::LandingsForgetAnswers) {
            return;
        }
        for flight in self.endpoints.get_mut(id).into_iter().flatten() {
            flight.least = flight.least.max(version);
        }
    }

    /// The load failed for `id`: only its own flight ends.
    pub fn fail(&mut self, load: u64, id: &str) -> Vec<Waiter> {
        let Some(flights) = self.endpoints.get_mut(id) else {
            return Vec::new();
        };
        let Some(at) = flights
            .iter()
            .position(|flight| flight.state == State::Running { load })
        else {
            return Vec::new();
        };
        let waiters = flights.remove(at).waiters;
        self.forget(id, &waiters);
        waiters
    }

    /// Gives up every queued flight.
    pub fn fail_queued(&mut self) -> Vec<Waiter> {
        let mut failed = Vec::new();
        for id in std::mem::take(&mut self.queue) {
            let queued = self.endpoints.get_mut(&id).and_then(Vec::pop);
            let waiters = queued.map(|flight| flight.waiters).unwrap_or_default();
            self.forget(&id, &waiters);
            failed.extend(waiters);
        }
        failed
    }

    /// Gives up the gets that arrived at or before `arrived_ms`, oldest first, whether their flights are queued or
    /// running. A queued flight that nobody waits for any more is gone; a running one goes on, for the gets that
    /// came later and for the cache.
    pub fn fail_overdue(&mut self, arrived_ms: u64) -> Vec<Waiter> {
        if self.oldest_ms > arrived_ms {
            return Vec::new();
        }
        let mut failed = Vec::new();
        let mut oldest_ms = u64::MAX;
        for (id, flights) in &mut self.endpoints {
            for flight in flights {
                let overdue = flight
                    .waiters
                    .extract_if(.., |waiter| waiter.arrived_ms <= arrived_ms);
                failed.extend(overdue.map(|waiter| (Arc::clone(id), waiter)));
                let arrivals = flight.waiters.iter().map(|waiter| waiter.arrived_ms);
                oldest_ms = arrivals.fold(oldest_ms, u64::min);
            }
        }
        self.oldest_ms = oldest_ms;
        self.drop_deserted();
        failed.sort_by(|(id, waiter), other| (waiter.arrived_ms, id).cmp(&(other.1.arrived_ms, &other.0)));
        let failed: Vec<Waiter> = failed.into_iter().map(|(_, waiter)| waiter).collect();
        self.waiters -= failed.len();
        self.bytes -= failed.iter().map(Waiter::size).sum::<usize>();
        failed
    }

    /// Drops queued flights without gets.
    fn drop_deserted(&mut self) {
        let endpoints = &mut self.endpoints;
        self.queue.retain(|id| {
            let Some(flights) = endpoints.get_mut(id) else {
                return false;
            };
            let deserted = flights.pop_if(|flight| flight.waiters.is_empty()).is_some();
            if flights.is_empty() {
                endpoints.remove(id);
            }
            !deserted
        });
    }

    /// An event for `id`: its running flights answer who waits, and are neither joined nor cached any more.
    pub fn cut(&mut self, id: &str) {
        for flight in self.endpoints.get_mut(id).into_iter().flatten() {
            flight.cut |= flight.state != State::Queued;
        }
    }

    /// A new epoch: as [`Park::cut`] for every endpoint.
    pub fn cut_all(&mut self) {
        for flight in self.endpoints.values_mut().flatten() {
            flight.cut |= flight.state != State::Queued;
        }
    }

    /// Accounts for waiters that left, and drops the endpoint's record with its last flight.
    fn forget(&mut self, id: &str, waiters: &[Waiter]) {
        self.left(waiters);
        if self.endpoints.get(id).is_some_and(Vec::is_empty) {
            self.endpoints.remove(id);
        }
    }

    /// Accounts for waiters that left.
    fn left(&mut self, waiters: &[Waiter]) {
        self.waiters -= waiters.len();
        self.bytes -= waiters.iter().map(Waiter::size).sum::<usize>();
    }
}
