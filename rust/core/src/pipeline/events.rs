//! Flow 3: events, heartbeats, and the second witness.

use super::Now;
use super::core::Core;
use crate::bugs::Bug;
use crate::coherence::{Numbered, Signal};
use crate::entry::{Amendment, Entry, Stored, amended, documents, from_bson};
use crate::events::{self, EventKind};
use crate::frame::{HeaderName, Message, header};
use crate::limits::MAX_SAMPLE;
use crate::stats::FlushCause;

/// What made somebody look whether an entry is stale; numbers are those of `Evidence` in `kaa_epr/engine/api.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Evidence {
    /// The change stream tells of a change; its event may still be on its way.
    ChangeStream = 0,
    /// The scrubber found the same entry still there when it looked again, later than any event takes.
    Proof = 1,
}

impl Evidence {
    /// The evidence with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::ChangeStream, Self::Proof]
            .into_iter()
            .find(|evidence| *evidence as u8 == number)
    }
}

impl Core {
    /// What is cached of the endpoint is gone, or as new as the event, whatever else happens.
    pub(super) fn event(&mut self, message: &Message<'_>, kind: EventKind, now: Now) {
        let number = numbered(message, Signal::Event);
        if let Some(number) = number {
            self.heard(number, now);
        }
        let Ok(event) = events::decode_endpoint_event(kind, message.payload) else {
            self.stats.count.events_undecodable += 1;
            return self.flush(FlushCause::UndecodableEvent);
        };
        self.break_here(Bug::EventsPanic);
        let id = event.endpoint_id;
        let version = version(message, HeaderName::VERSION);
        match version {
            Some(version) if kind == EventKind::MetadataUpdated && number.is_some() => {
                self.amend(id, version, message, now);
            }
            _ => drop(self.cache.remove(id)),
        }
        if !self.broken.has(Bug::MarksOutliveEvents) {
            self.unknown.remove(id);
        }
        self.cut(id);
        match version {
            Some(version) => {
                let gone = kind == EventKind::Unregistered;
                self.coherence.versioned_event(id, version, gone, now.mono_ms);
            }
            None => {
                self.stats.count.events_foreign += 1;
                self.coherence.foreign_event(id, now.mono_ms);
            }
        }
        self.stats.invalidated(message.kind);
    }

    /// Rule 12: changes the entry as an exact event tells, if that fits it in every respect; else drops it.
    fn amend(&mut self, id: &str, version: i64, message: &Message<'_>, now: Now) {
        if !self.config.apply_events || !self.coherence.may_serve() {
            self.cache.remove(id);
            return;
        }
        let (epoch, aged_ms) = (self.coherence.epoch(), self.aged_ms(now));
        let (hash_seed, bugs) = (self.config.seed, self.broken);
        let revised = self.cache.revise(id, epoch, aged_ms, |entry| {
            let base = self::version(message, HeaderName::BASE).filter(|base| *base < version)?;
            let amendment = Amendment {
                payload: message.payload,
                base,
                version,
                hash_seed,
            };
            amended(entry, &amendment, bugs)
        });
        if let Some(evicted) = revised {
            self.stats.count.events_applied += 1;
            self.stats.count.evictions += evicted;
            self.break_age(id, now);
        }
    }

    /// Rule 5: a writer lives, and says how far its numbers went.
    pub(super) fn heartbeat(&mut self, message: &Message<'_>, now: Now) {
        self.stats.count.heartbeats += 1;
        let leaving = header(message.headers, HeaderName::LEAVING) == Some(b"1");
        let signal = if leaving {
            Signal::Goodbye
        } else {
            Signal::Heartbeat
        };
        match numbered(message, signal) {
            Some(number) => self.heard(number, now),
            None => self.stats.count.heartbeats_malformed += 1,
        }
    }

    /// Judges a number.
    fn heard(&mut self, number: Numbered<'_>, now: Now) {
        let verdict = self.coherence.heard(number, now.mono_ms);
        self.stats.count.events_lost += verdict.lost;
        self.stats.count.events_late += u64::from(verdict.late);
        if let Some(cause) = verdict.flush {
            self.flush(cause);
        }
    }

    /// Rule 11: somebody who looked into the store says that `id` is at `version` (None: that it changed in a
    /// way that versions do not show). Returns whether something older was cached, which is gone now.
    pub(super) fn invalidate(
        &mut self,
        id: &str,
        version: Option<i64>,
        evidence: Evidence,
        now: Now,
    ) -> bool {
        let epoch = self.coherence.epoch();
        let older =
            |entry: &Entry| version.is_none_or(|version| entry.version().is_none_or(|own| own < version));
        let stale = self.cache.peek(id, epoch).is_some_and(older) || self.unknown.peek(id, epoch).is_some();
        if stale {
            self.cache.remove(id);
            self.unknown.remove(id);
            let count = &mut self.stats.count;
            match evidence {
                Evidence::Proof => count.stale_proven += 1,
                Evidence::ChangeStream => count.stale_suspected += 1,
            }
        }
        self.cut(id);
        match version {
            Some(version) => self.coherence.versioned_event(id, version, false, now.mono_ms),
            None => self.coherence.foreign_event(id, now.mono_ms),
        }
        stale
    }

    /// Rule 11: up to `count` entries from the slot `at` on, with their versions, for the scrubber.
    pub(super) fn sample(&self, count: usize, at: u64) -> Vec<(String, Option<i64>)> {
        if !self.coherence.may_serve() {
            return Vec::new();
        }
        let entries = self
            .cache
            .sample(count.min(MAX_SAMPLE), at, self.coherence.epoch());
        entries
            .map(|entry| (entry.id().to_owned(), entry.version()))
            .collect()
    }

    /// Rule 11: which of `ids` are cached and may be served, with their versions.
    pub(super) fn cached(&self, ids: Vec<String>) -> Vec<(String, Option<i64>)> {
        self.servable(ids, Entry::version)
    }

    /// Rule 11: which of `ids` are cached and may be served, with their fingerprints.
    pub(super) fn fingerprints(&self, ids: Vec<String>) -> Vec<(String, u64)> {
        self.servable(ids, |entry| entry.fingerprint(self.config.seed))
    }

    fn servable<T>(&self, ids: Vec<String>, told: impl Fn(&Entry) -> T) -> Vec<(String, T)> {
        if !self.coherence.may_serve() {
            return Vec::new();
        }
        let epoch = self.coherence.epoch();
        let of = |id: &str| self.cache.peek(id, epoch).map(&told);
        ids.into_iter()
            .filter_map(|id| of(&id).map(|told| (id, told)))
            .collect()
    }

    /// Rule 11: the endpoints of loaded documents with their versions, and the fingerprints that they would have if
    /// they were cached. What is no endpoint, or unusable, is left out.
    pub(super) fn fingerprints_of(&self, batches: &[&[u8]]) -> Vec<(String, Option<i64>, u64)> {
        let documents = batches.iter().flat_map(|batch| documents(batch));
        let entry = |document: &[u8]| match from_bson(document, &self.config.mapping) {
            Ok(Stored::Endpoint(entry)) => Some(entry),
            Ok(Stored::Tombstone { .. }) | Err(_) => None,
        };
        documents
            .filter_map(|document| entry(document.ok()?))
            .map(|entry| {
                let print = entry.fingerprint(self.config.seed);
                (entry.id().to_owned(), entry.version(), print)
            })
            .collect()
    }

    fn cut(&mut self, id: &str) {
        if !self.broken.has(Bug::EventsVoidNoLoads) {
            self.park.cut(id);
        }
    }
}

fn numbered<'a>(message: &Message<'a>, signal: Signal) -> Option<Numbered<'a>> {
    if message.headers.is_empty() {
        return None;
    }
    let writer = header(message.headers, HeaderName::WRITER)?;
    Numbered::read(writer, header(message.headers, HeaderName::SEQ)?, signal)
}

fn version(message: &Message<'_>, name: HeaderName) -> Option<i64> {
    let value = header(message.headers, name)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}
