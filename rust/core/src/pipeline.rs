//! The responder: the four flows, one line a stage.

mod answer;
mod config;
mod core;
mod events;
mod failure;
mod gathering;
mod link;
mod loads;
mod mishaps;
mod request;

pub use config::{Config, Now};
pub use events::Evidence;

use crate::bugs::Late;
use crate::frame::{Kind, Message, Routes, Scanner, Step};
use crate::limits::{FEED_OUTPUT_LIMIT, OUTPUT_KEEP};
use crate::stats::{FlushCause, Stats};

use self::core::Core;

/// What one read chunk came to; the answers are in [`Responder::output`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Bytes that are nats-py's, in wire order.
    pub rest: Vec<u8>,
    /// Answers made.
    pub answers: u64,
    /// The output limit was reached first: write the answers, then [`Responder::resume`].
    pub more: bool,
}

/// One responder's state: a connection's bytes in, answers and loads out. A clone is independent of it, which is
/// how tests try all that may happen next.
#[derive(Clone, Debug)]
pub struct Responder {
    scanner: Scanner,
    routes: Routes,
    /// What `feed` had no room to answer yet.
    backlog: Vec<u8>,
    core: Core,
}

impl Responder {
    /// Before the first connection.
    pub fn new(config: Config) -> Self {
        Self {
            scanner: Scanner::default(),
            routes: Routes::default(),
            backlog: Vec::new(),
            core: Core::new(config),
        }
    }

    /// The bytes of one read: hits are answered and events applied in wire order (flows 1 and 3), misses are
    /// parked (flow 2).
    pub fn feed(&mut self, chunk: &[u8], now: Now) -> Fed {
        let before = self.core.stats.answers;
        let mut fed = self.feed_chunk(chunk, now);
        fed.answers = self.core.stats.answers - before;
        fed
    }

    fn feed_chunk(&mut self, chunk: &[u8], now: Now) -> Fed {
        self.core.pump(now);
        if self.backlog.is_empty() && !self.core.is_full() {
            return self.scan(chunk, now);
        }
        self.backlog.extend_from_slice(chunk);
        self.scan_backlog(now)
    }

    /// Goes on with what was left when the output was full: landed gets first, then the rest of the chunk.
    pub fn resume(&mut self, now: Now) -> Fed {
        let before = self.core.stats.answers;
        self.core.pump(now);
        let mut fed = self.scan_backlog(now);
        fed.answers = self.core.stats.answers - before;
        fed
    }

    fn scan_backlog(&mut self, now: Now) -> Fed {
        if self.core.is_full() {
            return Fed {
                more: true,
                ..Fed::default()
            };
        }
        let backlog = std::mem::take(&mut self.backlog);
        self.scan(&backlog, now)
    }

    fn scan(&mut self, bytes: &[u8], now: Now) -> Fed {
        let mut fed = Fed::default();
        let mut pos = 0;
        let mut late = Late::default();
        loop {
            if self.core.output.ready() >= FEED_OUTPUT_LIMIT && pos < bytes.len() {
                self.backlog.extend_from_slice(&bytes[pos..]);
                fed.more = true;
                return fed;
            }
            match self.scanner.step(&self.routes, bytes, &mut pos) {
                Step::Message(message) if self.core.puts_off(&message) => late.put(&message),
                Step::Message(message) => self.core.message(&message, false, now),
                Step::Pass(theirs) => {
                    fed.rest.extend_from_slice(theirs);
                    if self.scanner.take_passed_event() {
                        // Its place in the stream is here, its callback comes after the gets behind it (rule 1).
                        self.core.flush(FlushCause::UndecodableEvent);
                    }
                }
                Step::Need => {
                    for event in late.events() {
                        self.core.message(&event, false, now);
                    }
                    return fed;
                }
            }
        }
    }

    /// One message that came another way than through `feed`. `fresh`: events may be waiting unread, so
    /// neither cache nor running flight will do.
    pub fn message(&mut self, message: &Message<'_>, fresh: bool, now: Now) {
        self.core.message(message, fresh, now);
    }

    /// Messages of this subscription are the responder's; false when the table is full.
    pub fn bind(&mut self, sid: u64, kind: Kind) -> bool {
        self.routes.bind(sid, kind)
    }

    /// Messages of this subscription are nats-py's.
    pub fn unbind(&mut self, sid: u64) {
        self.routes.unbind(sid);
    }

    /// The bytes of a new connection start here; nothing of the last one is left.
    pub fn reset_scanner(&mut self) {
        self.scanner = Scanner::new(self.core.link.max_payload);
        self.backlog = Vec::new();
    }

    /// A connection is made: nothing survives the gap (rule 3), held answers become ready.
    pub fn link_up(&mut self, max_payload: usize, headers: bool, cluster: bool, now: Now) {
        self.scanner
            .set_max_payload(max_payload.min(crate::limits::MAX_PAYLOAD));
        self.core.link_up(max_payload, headers, cluster, now);
    }

    /// Whether every event subscription is confirmed (rules 3 and 4).
    pub fn ears(&mut self, hearing: bool, mono_ms: u64) {
        self.core.ears(hearing, mono_ms);
    }

    /// The connection is gone: deaf from now on, and answers are held.
    pub fn link_down(&mut self) {
        self.core.link_down();
    }

    /// Takes up to `max` queued flights as one load: its number and endpoint ids.
    pub fn begin_load(&mut self, max: usize, now: Now) -> Option<(u64, Vec<String>)> {
        self.core.begin_load(max, now)
    }

    /// The store's answer as raw BSON documents; returns the ids of unusable ones, or None when there is no
    /// such load.
    pub fn end_load(&mut self, load: u64, batches: &[&[u8]], now: Now) -> Option<Vec<String>> {
        self.core.end_load(load, batches, now)
    }

    /// The store did not answer; false when there is no such load.
    pub fn fail_load(&mut self, load: u64, now: Now) -> bool {
        self.core.fail_load(load, now)
    }

    /// While the store is down every miss is answered 503 at once.
    pub fn store_up(&mut self, up: bool, now: Now) {
        self.core.store_up(up, now);
    }

    /// Fails gets and drops held answers whose time has passed.
    pub fn tick(&mut self, now: Now) {
        self.core.tick(now);
    }

    /// Drops the whole cache.
    pub fn flush(&mut self, cause: FlushCause) {
        self.core.flush(cause);
    }

    /// Rule 11: `id` is at `version` in the store (None: it changed in a way that versions do not show). Returns
    /// whether something older was cached, which is gone now.
    pub fn invalidate(&mut self, id: &str, version: Option<i64>, evidence: Evidence, now: Now) -> bool {
        self.core.invalidate(id, version, evidence, now)
    }

    /// Rule 11: up to `count` cached entries with their versions; `at`, any number, says where to begin.
    pub fn sample(&self, count: usize, at: u64) -> Vec<(String, Option<i64>)> {
        self.core.sample(count, at)
    }

    /// Rule 11: which of `ids` are cached and may be served, with their versions.
    pub fn cached(&self, ids: Vec<String>) -> Vec<(String, Option<i64>)> {
        self.core.cached(ids)
    }

    /// Rule 11: which of `ids` are cached and may be served, with a hash of all that answers are made of.
    pub fn fingerprints(&self, ids: Vec<String>) -> Vec<(String, u64)> {
        self.core.fingerprints(ids)
    }

    /// Rule 11: the endpoints of loaded documents, with their versions and the fingerprints that they would have
    /// if they were cached.
    pub fn fingerprints_of(&self, batches: &[&[u8]]) -> Vec<(String, Option<i64>, u64)> {
        self.core.fingerprints_of(batches)
    }

    /// Breaks one rule.
    #[cfg(feature = "bug-switches")]
    pub fn break_rule(&mut self, bug: crate::bugs::Bug) {
        self.core.break_with(crate::bugs::Bugs::only(bug));
    }

    /// The answers made since they were last taken.
    pub fn output(&self) -> &[u8] {
        self.core.output.ready_bytes()
    }

    /// Forgets the answers: they were written.
    pub fn clear_output(&mut self) {
        self.core.output.clear_ready(OUTPUT_KEEP);
    }

    /// Gets that wait: for loads, or for room in the output.
    pub fn pending(&self) -> usize {
        self.core.pending()
    }

    /// Endpoints that wait for a load to begin.
    pub fn queued(&self) -> usize {
        self.core.park.queued()
    }

    /// Whether a load can begin.
    pub fn wants_load(&self) -> bool {
        self.queued() > 0
    }

    /// Everything that is counted.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Sizes at this moment: names are those of `GAUGES` in `kaa_epr/engine/stats.py`.
    pub fn gauges(&self) -> [(&'static str, u64); 18] {
        self.core.gauges()
    }

    /// Correlation ids of requests that met a bug since the last call.
    pub fn take_bugs(&mut self) -> Vec<String> {
        std::mem::take(&mut self.core.bugs)
    }
}
