//! The state behind the scanner, and flow 1: a get is answered, or parked.

use std::collections::VecDeque;

use super::answer::{Desk, Envelope, Sender};
use super::failure::Failure;
use super::loads::Landed;
use super::mishaps::broken_get;
use super::request::{Get, Request, traceparent, waiter};
use super::{Config, Now};
use crate::bugs::{Bug, Bugs};
use crate::cache::{Cache, Lookup};
use crate::coherence::Coherence;
use crate::entry::Entry;
use crate::epmmp::{AppVersionsRequest, GetRequest, KeysGetRequest};
use crate::events::EventKind;
use crate::frame::{Kind, Message, may_answer_to};
use crate::gather::Gathers;
use crate::limits::MAX_PAYLOAD;
use crate::output::Output;
use crate::park::{Park, Parked};
use crate::project::Projection;
use crate::stats::{FlushCause, Stats};

/// What the server said of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub max_payload: usize,
    pub headers: bool,
}

/// The state behind the scanner.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub link: Link,
    pub(super) cache: Cache<Entry>,
    pub(super) unknown: Cache<Box<str>>,
    pub park: Park,
    pub(super) gathers: Gathers,
    pub coherence: Coherence,
    pub output: Output,
    pub stats: Stats,
    projection: Projection,
    pub(super) store_up: bool,
    pub(super) landed: VecDeque<Landed>,
    pub(super) latest: Now,
    /// When `tick` was last called.
    pub(super) ticked_ms: u64,
    /// Correlation ids of requests that met a bug.
    pub bugs: Vec<String>,
    pub(super) broken: Bugs,
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
            gathers: Gathers::new(config.seed),
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
            ticked_ms: 0,
            bugs: Vec::new(),
            broken: Bugs::default(),
            config,
        }
    }

    /// One message. A bug in here costs its request a 500, or its event a flush, and nobody else anything.
    pub(super) fn message(&mut self, message: &Message<'_>, fresh: bool, now: Now) {
        let done = self.caught(|core| match message.kind {
            Kind::Get => core.request::<GetRequest<'_>>(message, fresh, now),
            Kind::KeysGet => core.request::<KeysGetRequest<'_>>(message, fresh, now),
            Kind::AppVersions => core.request::<AppVersionsRequest<'_>>(message, fresh, now),
            Kind::MetadataUpdated => core.event(message, EventKind::MetadataUpdated, now),
            Kind::Registered => core.event(message, EventKind::Registered, now),
            Kind::Unregistered => core.event(message, EventKind::Unregistered, now),
            Kind::AppVersionUpdated => core.event(message, EventKind::AppVersionUpdated, now),
            Kind::Heartbeat => core.heartbeat(message, now),
        });
        if done.is_none() {
            let (reply, payload) = (message.reply, message.payload);
            match message.kind {
                Kind::Get => self.bug::<GetRequest<'_>>(reply, payload, now),
                Kind::KeysGet => self.bug::<KeysGetRequest<'_>>(reply, payload, now),
                Kind::AppVersions => self.bug::<AppVersionsRequest<'_>>(reply, payload, now),
                _ => self.flush(FlushCause::UndecodableEvent),
            }
        }
    }

    /// Flow 1, in the order of the README's table of answers: replyTo, decoding, expiry, cache, pending limit, store, size.
    #[inline]
    fn request<'a, R: Request<'a>>(&mut self, message: &Message<'a>, fresh: bool, now: Now) {
        self.stats.requested(R::KIND);
        if !may_answer_to(message.reply) {
            return self.unanswerable(message.reply);
        }
        self.notice_silence(now);
        let request = match R::decode(message.payload) {
            Ok(request) => request,
            Err(malformed) => {
                let envelope = Envelope {
                    reply: message.reply,
                    traceparent: traceparent(message),
                    correlation_id: malformed.correlation_id,
                    form: R::form_of_malformed(&malformed, &self.config),
                    deadline_ms: None,
                };
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
        request.serve(self, message, fresh, now);
    }

    /// Nothing is done for a request that cannot be answered.
    #[cold]
    fn unanswerable(&mut self, reply: &[u8]) {
        if reply.is_empty() {
            self.stats.count.requests_no_reply += 1;
        } else {
            self.stats.count.requests_bad_reply += 1;
        }
    }

    /// A request about one endpoint.
    #[inline]
    pub(super) fn get<'a, G: Get<'a>>(&mut self, request: &G, message: &Message<'a>, fresh: bool, now: Now) {
        if !fresh && self.coherence.may_serve() && self.hit(message, request, now) {
            return;
        }
        self.miss(message, request, fresh, now);
    }

    /// Answers from the cache or from a mark of an unknown endpoint.
    #[inline]
    fn hit<'a, G: Get<'a>>(&mut self, message: &Message<'a>, request: &G, now: Now) -> bool {
        let (epoch, aged_ms) = (self.coherence.epoch(), self.aged_ms(now));
        let envelope = request.envelope(message.reply, traceparent(message), &self.config);
        let mut desk = Desk {
            sender: Sender {
                output: &mut self.output,
                stats: &mut self.stats,
                link: self.link,
                now,
            },
            projection: &mut self.projection,
            config: &self.config,
        };
        match self.cache.get(request.endpoint_id(), epoch, aged_ms) {
            Lookup::Hit(entry) => {
                desk.sender.stats.count.hits += 1;
                if self.broken.has(Bug::GetsPanic) {
                    broken_get(&mut desk.sender);
                }
                desk.found(&envelope, request, entry);
                return true;
            }
            Lookup::Expired => desk.sender.stats.count.expirations += 1,
            Lookup::Absent => {}
        }
        match self.unknown.get(request.endpoint_id(), epoch, now.mono_ms) {
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

    /// The moment by which the age of entries is told (rule 9).
    #[inline]
    pub(super) fn aged_ms(&self, now: Now) -> u64 {
        if self.broken.has(Bug::EntriesDoNotAge) {
            0
        } else {
            now.mono_ms
        }
    }

    /// Flow 2: the get waits for a load, unless the store is down or too much waits already.
    fn miss<'a, G: Get<'a>>(&mut self, message: &Message<'a>, request: &G, fresh: bool, now: Now) {
        self.stats.count.misses += 1;
        let waiter = waiter(G::ASKED, message, now);
        let alone = fresh || !self.coherence.may_serve();
        if let Err(failure) = self.room_for(1, waiter.size()) {
            let envelope = request.envelope(message.reply, traceparent(message), &self.config);
            return self.desk(now).sender.fail(&envelope, failure);
        }
        if self.park.park(request.endpoint_id(), waiter, alone) == Parked::Joined {
            self.stats.count.joined += 1;
        }
    }

    /// Whether so many gets of so many bytes may wait, or what is said instead.
    pub(super) fn room_for(&self, waiters: usize, bytes: usize) -> Result<(), Failure> {
        if !self.park.admits(waiters, bytes) {
            return Err(Failure::BUSY);
        }
        self.store_up.then_some(()).ok_or(Failure::STORE)
    }

    pub(super) fn desk(&mut self, now: Now) -> Desk<'_> {
        Desk {
            sender: Sender {
                output: &mut self.output,
                stats: &mut self.stats,
                link: self.link,
                now,
            },
            projection: &mut self.projection,
            config: &self.config,
        }
    }

    /// Breaks one rule.
    #[cfg(feature = "bug-switches")]
    pub(super) fn break_with(&mut self, bugs: Bugs) {
        self.broken = bugs;
        self.coherence.break_with(bugs);
        self.park.break_with(bugs);
    }

    pub(super) fn gauges(&self) -> [(&'static str, u64); 18] {
        let census = self.coherence.census(self.ticked_ms);
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
            ("floors", self.coherence.floors() as u64),
            ("writers", census.known as u64),
            ("writers_silent", census.silent as u64),
            ("writers_with_holes", census.with_holes as u64),
            ("heartbeat_age_sound_ms", census.sound_ms),
            ("heartbeat_age_silent_ms", census.silent_ms),
            ("heartbeat_age_with_holes_ms", census.with_holes_ms),
        ]
    }
}
