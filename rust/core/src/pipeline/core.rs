//! The state behind the scanner, and what each message does to it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::answer::{Desk, Envelope, Failure, Outcome, Sender};
use super::{Config, Now};
use crate::cache::{Cache, Lookup};
use crate::coherence::Coherence;
use crate::entry::{self, Entry, Stored};
use crate::epmmp::get_request::{self, GetRequest, Shape};
use crate::epmmp::get_response::Revision;
use crate::events::{self, EventKind};
use crate::frame::{HeaderName, Kind, Message, header};
use crate::limits::{FEED_OUTPUT_LIMIT, MAX_BUGS, MAX_PAYLOAD};
use crate::output::Output;
use crate::park::{Landing, Park, Parked, Waiter};
use crate::project::Projection;
use crate::stats::{FlushCause, Stats};

/// What the server said of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub max_payload: usize,
    pub headers: bool,
}

#[derive(Debug)]
pub(super) struct Core {
    config: Config,
    pub link: Link,
    cache: Cache<Entry>,
    unknown: Cache<Box<str>>,
    pub park: Park,
    pub coherence: Coherence,
    pub output: Output,
    pub stats: Stats,
    projection: Projection,
    store_up: bool,
    landed: VecDeque<Landed>,
    latest: Now,
    pub bugs: Vec<String>,
}

/// Gets whose load ended while the output was full: they are answered first when there is room again.
#[derive(Debug)]
struct Landed {
    waiters: std::vec::IntoIter<Waiter>,
    result: LandedResult,
}

#[derive(Debug)]
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
    pub(super) fn new(config: Config) -> Self {
        Self {
            link: Link {
                max_payload: MAX_PAYLOAD,
                headers: false,
            },
            cache: Cache::new(config.cache, config.seed),
            unknown: Cache::new(config.unknown, config.seed),
            park: Park::new(config.park, config.seed),
            coherence: Coherence::new(config.spans, config.seed),
            output: Output::new(config.hold),
            stats: Stats::default(),
            projection: Projection::new(config.seed),
            store_up: true,
            landed: VecDeque::new(),
            latest: Now {
                wall_ms: 0,
                mono_ms: 0,
            },
            bugs: Vec::new(),
            config,
        }
    }

    /// One message. A bug in here costs its request a 500, or its event a flush, and nobody else anything.
    pub(super) fn message(&mut self, message: &Message<'_>, fresh: bool, now: Now) {
        let before = self.output.ready();
        let done = catch_unwind(AssertUnwindSafe(|| match message.kind {
            Kind::Get => self.get(message, fresh, now),
            Kind::MetadataUpdated => self.event(message, EventKind::MetadataUpdated, now),
            Kind::Registered => self.event(message, EventKind::Registered, now),
            Kind::Unregistered => self.event(message, EventKind::Unregistered, now),
            Kind::AppVersionUpdated => self.event(message, EventKind::AppVersionUpdated, now),
        }));
        if done.is_err() {
            self.output.truncate(before);
            match message.kind {
                Kind::Get => self.bug(message, now),
                _ => self.flush(FlushCause::UndecodableEvent),
            }
        }
    }

    /// Flow 1, in the order of design section 5: replyTo, decoding, expiry, cache, pending limit, store, size.
    fn get(&mut self, message: &Message<'_>, fresh: bool, now: Now) {
        self.stats.count.requests += 1;
        if message.reply.is_empty() {
            self.stats.count.requests_no_reply += 1;
            return;
        }
        let traceparent = traceparent(message);
        let request = match get_request::decode(message.payload) {
            Ok(request) => request,
            Err(malformed) => {
                let revision = match malformed.shape {
                    Some(Shape::WithFlag { .. }) => Revision::Three,
                    Some(Shape::Plain) => self.config.plain_revision,
                    None => self.config.default_revision,
                };
                let envelope = Envelope::of_malformed(&malformed, message.reply, traceparent, revision);
                let failure = Failure::malformed(malformed.error.cause);
                return self.desk(now).sender.fail(&envelope, failure);
            }
        };
        if request.expired(now.wall_ms) {
            self.stats.count.requests_expired += 1;
            return;
        }
        // While answers wait for room, a hit would overtake them; a load of its own cannot.
        let fresh = fresh || self.is_full();
        if !fresh && self.coherence.may_serve() && self.hit(message, &request, now) {
            return;
        }
        self.miss(message, &request, fresh, now);
    }

    /// Answers from the cache or from a mark of an unknown endpoint.
    fn hit(&mut self, message: &Message<'_>, request: &GetRequest<'_>, now: Now) -> bool {
        let epoch = self.coherence.epoch();
        let envelope = Envelope::of(
            request,
            message.reply,
            traceparent(message),
            self.config.plain_revision,
        );
        let mut desk = Desk {
            sender: Sender {
                output: &mut self.output,
                stats: &mut self.stats,
                link: self.link,
                now,
            },
            projection: &mut self.projection,
        };
        match self.cache.get(request.endpoint_id, epoch, now.mono_ms) {
            Lookup::Hit(entry) => {
                desk.sender.stats.count.hits += 1;
                desk.answer(&envelope, request, Outcome::Found(entry));
                return true;
            }
            Lookup::Expired => desk.sender.stats.count.expirations += 1,
            Lookup::Absent => {}
        }
        match self.unknown.get(request.endpoint_id, epoch, now.mono_ms) {
            Lookup::Hit(_) => {
                desk.sender.stats.count.unknown_hits += 1;
                desk.sender.fail(&envelope, Failure::NOT_FOUND);
                return true;
            }
            Lookup::Expired => desk.sender.stats.count.expirations += 1,
            Lookup::Absent => {}
        }
        false
    }

    /// Flow 2: the get waits for a load, unless the store is down or too much waits already.
    fn miss(&mut self, message: &Message<'_>, request: &GetRequest<'_>, fresh: bool, now: Now) {
        self.stats.count.misses += 1;
        let traceparent = traceparent(message);
        let envelope = Envelope::of(request, message.reply, traceparent, self.config.plain_revision);
        let waiter = Waiter::new(message.reply, traceparent, message.payload, now.mono_ms);
        let alone = fresh || !self.coherence.may_serve();
        if !self.park.admit(&waiter) {
            return self.desk(now).sender.fail(&envelope, Failure::BUSY);
        }
        if !self.store_up {
            return self.desk(now).sender.fail(&envelope, Failure::STORE);
        }
        if self.park.park(request.endpoint_id, waiter, alone) == Parked::Joined {
            self.stats.count.joined += 1;
        }
    }

    /// Flow 3: the entry is gone whatever else happens.
    fn event(&mut self, message: &Message<'_>, kind: EventKind, now: Now) {
        let Ok(event) = events::decode_endpoint_event(kind, message.payload) else {
            self.stats.count.events_undecodable += 1;
            return self.flush(FlushCause::UndecodableEvent);
        };
        let id = event.endpoint_id;
        self.cache.remove(id);
        self.unknown.remove(id);
        self.park.cut(id);
        if header(message.headers, HeaderName::VERSION).is_none() {
            self.coherence.foreign_event(id, now.mono_ms);
        }
        self.stats.invalidated(message.kind);
    }

    fn bug(&mut self, message: &Message<'_>, now: Now) {
        let (correlation_id, endpoint_id) = match get_request::decode(message.payload) {
            Ok(request) => (request.correlation_id, request.endpoint_id),
            Err(malformed) => (malformed.correlation_id, malformed.endpoint_id),
        };
        if self.bugs.len() < MAX_BUGS {
            self.bugs.push(correlation_id.to_owned());
        }
        let envelope = Envelope {
            reply: message.reply,
            traceparent: None,
            correlation_id,
            endpoint_id,
            revision: self.config.default_revision,
            deadline_ms: None,
        };
        self.desk(now).sender.fail(&envelope, Failure::BUG);
    }

    pub(super) fn begin_load(&mut self, max: usize, now: Now) -> Option<(u64, Vec<String>)> {
        if self.is_full() {
            return None;
        }
        let coherence = &self.coherence;
        let (load, ids) = self.park.begin(max, |id| coherence.may_cache(id, now.mono_ms))?;
        let ids: Vec<String> = ids.iter().map(|id| id.as_ref().to_owned()).collect();
        self.stats.count.loads += 1;
        self.stats.batch_sizes.observe(ids.len() as u64);
        Some((load, ids))
    }

    pub(super) fn end_load(&mut self, load: u64, batches: &[&[u8]], now: Now) -> Option<Vec<String>> {
        let mut documents = Vec::new();
        for batch in batches {
            for document in entry::documents(batch) {
                match document {
                    Ok(document) => documents.push(document),
                    Err(_) => return self.fail_load(load, now).then(Vec::new),
                }
            }
        }
        let ids = self.park.end(load)?;
        let mut unusable = Vec::new();
        for document in documents {
            // A document that names no endpoint, or one twice, lands nowhere: its id stays unanswered below.
            let Some(id) = entry::id_of(document, &self.config.mapping) else {
                continue;
            };
            if let Some(landing) = self.park.land(load, id) {
                self.stats.count.loaded_endpoints += 1;
                if !self.landed(id, landing, document, now) {
                    unusable.push(id.to_owned());
                }
            }
        }
        for id in ids {
            if let Some(landing) = self.park.land(load, &id) {
                self.landed_unknown(&id, landing, now);
            }
        }
        Some(unusable)
    }

    /// One document arrived: its waiters are answered, then it is cached. False when it is unusable.
    fn landed(&mut self, id: &str, landing: Landing, document: &[u8], now: Now) -> bool {
        match entry::from_bson(document, &self.config.mapping) {
            Ok(Stored::Endpoint(entry)) => {
                self.unknown.remove(id);
                self.answer_all(landing.waiters, Outcome::Found(&entry), now);
                let stored = landing
                    .cacheable
                    .then(|| self.cache.insert(entry, self.coherence.epoch(), now.mono_ms));
                self.filled(stored.and_then(Result::ok));
                true
            }
            Ok(Stored::Tombstone { .. }) => {
                self.landed_unknown(id, landing, now);
                true
            }
            Err(_) => {
                self.stats.count.unusable_documents += 1;
                self.cache.remove(id);
                self.unknown.remove(id);
                self.answer_all(landing.waiters, Outcome::Failed(Failure::UNUSABLE), now);
                false
            }
        }
    }

    /// The store has no such endpoint, which takes the place of what was cached before.
    fn landed_unknown(&mut self, id: &str, landing: Landing, now: Now) {
        self.cache.remove(id);
        self.answer_all(landing.waiters, Outcome::Failed(Failure::NOT_FOUND), now);
        let epoch = self.coherence.epoch();
        let stored = landing
            .cacheable
            .then(|| self.unknown.insert(id.into(), epoch, now.mono_ms));
        self.filled(stored.and_then(Result::ok));
    }

    fn filled(&mut self, evicted: Option<u64>) {
        match evicted {
            Some(evicted) => self.stats.count.evictions += evicted,
            None => self.stats.count.void_fills += 1,
        }
    }

    pub(super) fn fail_load(&mut self, load: u64, now: Now) -> bool {
        let Some(ids) = self.park.end(load) else {
            return false;
        };
        self.stats.count.load_failures += 1;
        for id in ids {
            let waiters = self.park.fail(load, &id);
            self.answer_all(waiters, Outcome::Failed(Failure::STORE), now);
        }
        true
    }

    /// Flow 2 resumes at "project": the waiting requests are decoded again, where the same code makes the bytes.
    fn answer_all(&mut self, waiters: Vec<Waiter>, outcome: Outcome<'_>, now: Now) {
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

    fn answer_one(&mut self, waiter: &Waiter, outcome: Outcome<'_>) {
        let now = self.latest;
        self.stats
            .wait_ms
            .observe(now.mono_ms.saturating_sub(waiter.arrived_ms));
        let Ok(request) = get_request::decode(waiter.payload()) else {
            return;
        };
        if request.expired(now.wall_ms) {
            self.stats.count.requests_expired += 1;
            return;
        }
        let plain = self.config.plain_revision;
        let envelope = Envelope::of(&request, waiter.reply(), waiter.traceparent(), plain);
        self.desk(now).answer(&envelope, &request, outcome);
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

    pub(super) fn link_up(&mut self, max_payload: usize, headers: bool, cluster: bool, now: Now) {
        self.link = Link { max_payload, headers };
        self.coherence.connected(cluster, now.mono_ms);
        self.stats.flushed(FlushCause::Connection);
        self.park.cut_all();
        self.output.link_up(now.wall_ms, now.mono_ms, |len| {
            len.total() <= max_payload && (headers || len.headers == 0)
        });
        self.count_dropped();
    }

    pub(super) fn ears(&mut self, hearing: bool) {
        if self.coherence.ears(hearing) {
            self.park.cut_all();
            if !hearing {
                self.stats.flushed(FlushCause::EarsLost);
            }
        }
    }

    pub(super) fn link_down(&mut self) {
        self.coherence.disconnected();
        self.park.cut_all();
        self.output.link_down();
    }

    pub(super) fn store_up(&mut self, up: bool, now: Now) {
        self.store_up = up;
        if !up {
            self.fail_queued(u64::MAX, now);
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        if let Some(oldest) = now.mono_ms.checked_sub(self.config.store_timeout_ms) {
            self.fail_queued(oldest, now);
        }
        self.output.tick(now.wall_ms, now.mono_ms);
        self.count_dropped();
    }

    fn fail_queued(&mut self, arrived_ms: u64, now: Now) {
        let waiters = self.park.fail_queued(arrived_ms);
        self.answer_all(waiters, Outcome::Failed(Failure::STORE), now);
    }

    pub(super) fn flush(&mut self, cause: FlushCause) {
        self.coherence.new_epoch();
        self.park.cut_all();
        self.stats.flushed(cause);
    }

    fn count_dropped(&mut self) {
        self.stats.count.held_dropped += self.output.take_dropped();
    }

    fn desk(&mut self, now: Now) -> Desk<'_> {
        Desk {
            sender: Sender {
                output: &mut self.output,
                stats: &mut self.stats,
                link: self.link,
                now,
            },
            projection: &mut self.projection,
        }
    }

    pub(super) fn gauges(&self) -> [(&'static str, u64); 11] {
        [
            ("cache_bytes", self.cache.bytes() as u64),
            ("cache_entries", self.cache.len() as u64),
            ("unknown_bytes", self.unknown.bytes() as u64),
            ("unknown_entries", self.unknown.len() as u64),
            ("pending", self.pending() as u64),
            ("pending_bytes", self.park.bytes() as u64),
            ("queued_flights", self.park.queued() as u64),
            ("running_loads", self.park.running() as u64),
            ("held_bytes", self.output.held_bytes() as u64),
            ("epoch", u64::from(self.coherence.epoch())),
            ("coherent", u64::from(self.coherence.may_serve())),
        ]
    }
}

fn traceparent<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    if message.headers.is_empty() {
        None
    } else {
        header(message.headers, HeaderName::TRACEPARENT)
    }
}
