//! Flow 2: loads begin and end, and the gets that waited for them are answered.

use std::panic::catch_unwind;

use super::Now;
use super::answer::Outcome;
use super::core::Core;
use super::failure::Failure;
use super::mishaps::broken_get;
use super::request::{Get, Request};
use crate::bugs::Bug;
use crate::coherence::Found;
use crate::entry::{self, Entry, FieldMapping, Stored};
use crate::epmmp::{GetRequest, KeysGetRequest};
use crate::limits::{FEED_OUTPUT_LIMIT, MAX_RELOADS};
use crate::park::{Asked, Landing, Waiter};

/// Gets whose load ended while the output was full: they are answered first when there is room again.
#[derive(Clone, Debug)]
pub(super) struct Landed {
    waiters: std::vec::IntoIter<Waiter>,
    result: LandedResult,
}

#[derive(Clone, Debug)]
enum LandedResult {
    Found(Entry),
    Failed(Failure),
}

impl LandedResult {
    fn of(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Found(entry) => Self::Found(entry.clone()),
            Outcome::Failed(failure) => Self::Failed(failure),
        }
    }

    fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Found(entry) => Outcome::Found(entry),
            Self::Failed(failure) => Outcome::Failed(*failure),
        }
    }
}

impl Core {
    pub(super) fn begin_load(&mut self, max: usize, now: Now) -> Option<(u64, Vec<String>)> {
        if self.is_full() {
            return None;
        }
        let coherence = &mut self.coherence;
        let (load, ids) = self.park.begin(max, |id| coherence.may_cache(id, now.mono_ms))?;
        let ids: Vec<String> = ids.iter().map(|id| id.as_ref().to_owned()).collect();
        self.stats.count.loads += 1;
        self.stats.batch_sizes.observe(ids.len() as u64);
        Some((load, ids))
    }

    pub(super) fn end_load(&mut self, load: u64, batches: &[&[u8]], now: Now) -> Option<Vec<String>> {
        let mapping = &self.config.mapping;
        let documents = match catch_unwind(|| named(batches, mapping)) {
            Ok(Some(documents)) => documents,
            Ok(None) => return self.fail_load(load, now).then(Vec::new),
            Err(_) => return self.abandon(load, Failure::BUG, now).then(Vec::new),
        };
        let ids = self.park.end(load)?;
        let mut unusable = Vec::new();
        for (id, document) in documents {
            if let Some(landing) = self.park.land(load, id) {
                self.stats.count.loaded_endpoints += 1;
                let landed = |core: &mut Self, landing: &mut _| core.landed(id, landing, document, now);
                if !self.land(id, landing, now, landed) {
                    unusable.push(id.to_owned());
                }
            }
        }
        for id in ids {
            if let Some(landing) = self.park.land(load, &id) {
                self.land(&id, landing, now, |core, landing| {
                    core.landed_unknown(&id, Found::Absent, landing, now);
                    true
                });
            }
        }
        Some(unusable)
    }

    /// One document arrived: its waiters are answered, then it is cached. False when it is unusable.
    fn landed(&mut self, id: &str, landing: &mut Landing, document: &[u8], now: Now) -> bool {
        match entry::from_bson(document, &self.config.mapping) {
            Ok(Stored::Endpoint(entry)) => {
                if !self.admits(id, Found::Version(entry.version()), landing, now) {
                    self.reload(id, landing, now);
                    return true;
                }
                self.unknown.remove(id);
                self.answer_all(landing.take().waiters, Outcome::Found(&entry), now);
                let stored = landing
                    .cacheable
                    .then(|| self.cache.insert(entry, self.coherence.epoch(), now.mono_ms));
                self.filled(stored.and_then(Result::ok));
                true
            }
            Ok(Stored::Tombstone { version }) => {
                self.landed_unknown(id, Found::Version(version), landing, now);
                true
            }
            Err(_) => {
                self.stats.count.unusable_documents += 1;
                self.cache.remove(id);
                self.unknown.remove(id);
                self.answer_all(landing.take().waiters, Outcome::Failed(Failure::UNUSABLE), now);
                false
            }
        }
    }

    /// The store has no such endpoint, which takes the place of what was cached before.
    fn landed_unknown(&mut self, id: &str, found: Found, landing: &mut Landing, now: Now) {
        if !self.admits(id, found, landing, now) {
            return self.reload(id, landing, now);
        }
        self.cache.remove(id);
        self.answer_all(landing.take().waiters, Outcome::Failed(Failure::NOT_FOUND), now);
        let epoch = self.coherence.epoch();
        let stored = landing
            .cacheable
            .then(|| self.unknown.insert(id.into(), epoch, now.mono_ms));
        self.filled(stored.and_then(Result::ok));
    }

    /// Whether this may be answered: rule 6, and nobody was answered with more while the load ran.
    fn admits(&mut self, id: &str, found: Found, landing: &Landing, now: Now) -> bool {
        let version = match found {
            Found::Version(version) => version,
            Found::Absent => Some(i64::MIN),
        };
        let admitted = self.coherence.admits(id, found, now.mono_ms)
            && version.is_none_or(|version| version >= landing.least);
        if let (true, true, Some(version)) = (admitted, landing.others, version) {
            self.park.answered_with(id, version);
        }
        admitted
    }

    /// Rule 6: the store returned less than an event told of. Its gets are loaded for again while there is time.
    fn reload(&mut self, id: &str, landing: &mut Landing, now: Now) {
        self.stats.count.stale_loads += 1;
        let oldest_ms = landing.waiters.iter().map(|waiter| waiter.arrived_ms).min();
        let in_time = oldest_ms
            .is_some_and(|oldest_ms| now.mono_ms < oldest_ms.saturating_add(self.config.store_timeout_ms));
        if landing.reloads < MAX_RELOADS && in_time && self.store_up {
            self.park.park_again(id, landing.take());
        } else {
            self.answer_all(landing.take().waiters, Outcome::Failed(Failure::STORE), now);
        }
    }

    fn filled(&mut self, evicted: Option<u64>) {
        match evicted {
            Some(evicted) => self.stats.count.evictions += evicted,
            None => self.stats.count.void_fills += 1,
        }
    }

    pub(super) fn fail_load(&mut self, load: u64, now: Now) -> bool {
        self.abandon(load, Failure::STORE, now)
    }

    /// All gets of a load get the same failure; false when there is no such load.
    fn abandon(&mut self, load: u64, failure: Failure, now: Now) -> bool {
        let Some(ids) = self.park.end(load) else {
            return false;
        };
        self.stats.count.load_failures += 1;
        for id in ids {
            let waiters = self.park.fail(load, &id);
            self.answer_all(waiters, Outcome::Failed(failure), now);
        }
        true
    }

    /// Flow 2 resumes at "project": the waiting requests are decoded again, where the same code makes the bytes.
    pub(super) fn answer_all(&mut self, waiters: Vec<Waiter>, outcome: Outcome<'_>, now: Now) {
        self.latest = now;
        let mut waiters = waiters.into_iter();
        if self.landed.is_empty() {
            self.answer_some(&mut waiters, outcome);
        }
        if waiters.len() > 0 {
            self.landed.push_back(Landed {
                waiters,
                result: LandedResult::of(outcome),
            });
        }
    }

    /// Answers while there is room.
    fn answer_some(&mut self, waiters: &mut std::vec::IntoIter<Waiter>, outcome: Outcome<'_>) {
        while self.output.ready() < FEED_OUTPUT_LIMIT {
            let Some(waiter) = waiters.next() else { return };
            self.answer_one(&waiter, outcome);
        }
    }

    /// A bug in here costs this get a 500, and no other get of the flight anything.
    fn answer_one(&mut self, waiter: &Waiter, outcome: Outcome<'_>) {
        if self.caught(|core| core.make_one(waiter, outcome)).is_none() {
            self.bug_of(waiter);
        }
    }

    fn make_one(&mut self, waiter: &Waiter, outcome: Outcome<'_>) {
        match waiter.asked {
            Asked::Metadata => self.answer_get::<GetRequest<'_>>(waiter, outcome),
            Asked::Keys => self.answer_get::<KeysGetRequest<'_>>(waiter, outcome),
            Asked::Part { gather, place } => self.part(gather, place, outcome),
            // It waits in a gather, its parts are what lands.
            Asked::AppVersions => {}
        }
    }

    fn answer_get<'w, G: Get<'w>>(&mut self, waiter: &'w Waiter, outcome: Outcome<'_>) {
        if let Some(request) = self.taken_up::<G>(waiter) {
            let envelope = request.envelope(waiter.reply(), waiter.traceparent(), &self.config);
            if matches!(outcome, Outcome::Failed(Failure::BUG)) {
                self.note_bug(request.correlation_id());
            }
            if self.broken.has(Bug::GetsPanic) {
                broken_get(&mut self.desk(self.latest).sender);
            }
            self.desk(self.latest).answer(&envelope, &request, outcome);
        }
    }

    /// A request that waited, unless it has expired.
    pub(super) fn taken_up<'w, R: Request<'w>>(&mut self, waiter: &'w Waiter) -> Option<R> {
        let now = self.latest;
        self.stats
            .wait_ms
            .observe(now.mono_ms.saturating_sub(waiter.arrived_ms));
        let request = R::decode(waiter.payload()).ok()?;
        let expired = request.expired(now.wall_ms);
        self.stats.count.requests_expired += u64::from(expired);
        (!expired).then_some(request)
    }

    /// Whether landed gets wait for room in the output.
    pub(super) fn is_full(&self) -> bool {
        !self.landed.is_empty()
    }

    /// Gets that wait: for loads, or for room in the output.
    pub(super) fn pending(&self) -> usize {
        self.park.waiters()
            + self
                .landed
                .iter()
                .map(|landed| landed.waiters.len())
                .sum::<usize>()
    }

    /// Answers landed gets while there is room.
    pub(super) fn pump(&mut self, now: Now) {
        self.latest = now;
        while self.output.ready() < FEED_OUTPUT_LIMIT {
            let Some(mut landed) = self.landed.pop_front() else {
                return;
            };
            self.answer_some(&mut landed.waiters, landed.result.outcome());
            if landed.waiters.len() > 0 {
                self.landed.push_front(landed);
            }
        }
    }
}

/// The documents of a load with their ids; None when a batch cannot be cut into documents. One that names no
/// endpoint lands nowhere: its id stays unanswered.
fn named<'b>(batches: &[&'b [u8]], mapping: &FieldMapping) -> Option<Vec<(&'b str, &'b [u8])>> {
    let mut named = Vec::new();
    for document in batches.iter().flat_map(|batch| entry::documents(batch)) {
        let document = document.ok()?;
        named.extend(entry::id_of(document, mapping).map(|id| (id, document)));
    }
    Some(named)
}
