//! Application versions of several endpoints: what is cached at once, what is not by loads (`gather.rs`).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Now;
use super::answer::{Envelope, Outcome};
use super::core::Core;
use super::failure::Failure;
use super::request::{Request, traceparent, waiter};
use crate::cache::Lookup;
use crate::epmmp::{AppVersionsRequest, Group, Strings};
use crate::frame::Message;
use crate::gather::{Gather, Parts};
use crate::park::{Asked, Parked, Waiter};

impl Core {
    /// Answers the request if all of its endpoints are cached, else parks one get for each that is not.
    pub(super) fn app_versions<'a>(
        &mut self,
        request: &AppVersionsRequest<'a>,
        message: &Message<'a>,
        fresh: bool,
        now: Now,
    ) {
        let ids = distinct(&request.endpoint_ids, self.config.seed);
        let mut parts = Parts::missing(ids.len());
        let envelope = request.envelope(message.reply, traceparent(message), &self.config);
        if !fresh && self.coherence.may_serve() {
            for (place, id) in ids.iter().enumerate() {
                self.put_cached(&mut parts, place, id, now);
            }
        }
        if parts.count_missing() == 0 {
            return self.gathered(&envelope, request, &ids, &parts, now);
        }
        let gather = Gather {
            waiter: waiter(Asked::AppVersions, message, now),
            parts,
        };
        if let Err(failure) = self.wait_for(gather, &ids, fresh, now) {
            self.desk(now).sender.fail(&envelope, failure);
        }
    }

    /// Flow 1 for one endpoint of several.
    fn put_cached(&mut self, parts: &mut Parts, place: usize, id: &str, now: Now) {
        let epoch = self.coherence.epoch();
        match self.cache.get(id, epoch, self.aged_ms(now)) {
            Lookup::Hit(entry) => {
                self.stats.count.hits += 1;
                return parts.put(place, entry.app_version());
            }
            Lookup::Expired => self.stats.count.expirations += 1,
            Lookup::Absent => {}
        }
        match self.unknown.get(id, epoch, now.mono_ms) {
            Lookup::Hit(_) => {
                self.stats.count.unknown_hits += 1;
                parts.put(place, None);
            }
            Lookup::Expired => self.stats.count.expirations += 1,
            Lookup::Absent => {}
        }
    }

    /// Flow 2: each missing endpoint is a get of its own, and they are admitted together or not at all.
    fn wait_for(&mut self, gather: Gather, ids: &[&str], fresh: bool, now: Now) -> Result<(), Failure> {
        let missing = gather.parts.count_missing();
        self.stats.count.misses += missing as u64;
        let size = gather.bytes() + missing * size_of::<Waiter>();
        self.room_for(missing, size)?;
        self.park.charge(gather.bytes());
        let places: Vec<usize> = gather.parts.places_missing().collect();
        let number = self.gathers.open(gather);
        let alone = fresh || !self.coherence.may_serve();
        for place in places {
            let part = Waiter::part(number, place as u32, now.mono_ms);
            if self.park.park(ids[place], part, alone) == Parked::Joined {
                self.stats.count.joined += 1;
            }
        }
        Ok(())
    }

    /// One missing endpoint has landed. A failure of it is a failure of the whole: what is left out of an answer
    /// 200 has no application version.
    pub(super) fn part(&mut self, number: u64, place: u32, outcome: Outcome<'_>) {
        let Some(gather) = self.gathers.get_mut(number) else {
            return; // the request has failed before
        };
        let before = gather.parts.bytes();
        let mut failure = None;
        match outcome {
            Outcome::Found(entry) => gather.parts.put(place as usize, entry.app_version()),
            Outcome::Failed(Failure::NOT_FOUND) => gather.parts.put(place as usize, None),
            Outcome::Failed(failed) => failure = Some(failed),
        }
        let added = gather.parts.bytes() - before;
        let complete = gather.parts.count_missing() == 0;
        if !complete && !self.park.admits(0, added) {
            failure = Some(Failure::BUSY);
        }
        self.park.charge(added);
        if complete || failure.is_some() {
            self.close(number, failure);
        }
    }

    fn close(&mut self, number: u64, failure: Option<Failure>) {
        let Some(gather) = self.gathers.close(number) else {
            return;
        };
        self.park.release(gather.bytes());
        if self.caught(|core| core.closed(&gather, failure)).is_none() {
            self.bug_of(&gather.waiter);
        }
    }

    fn closed(&mut self, gather: &Gather, failure: Option<Failure>) {
        let Some(request) = self.taken_up::<AppVersionsRequest<'_>>(&gather.waiter) else {
            return;
        };
        let (reply, traceparent) = (gather.waiter.reply(), gather.waiter.traceparent());
        let envelope = request.envelope(reply, traceparent, &self.config);
        let now = self.latest;
        match failure {
            Some(failure) => {
                if failure == Failure::BUG {
                    self.note_bug(request.correlation_id());
                }
                self.desk(now).sender.fail(&envelope, failure);
            }
            None => {
                let ids = distinct(&request.endpoint_ids, self.config.seed);
                self.gathered(&envelope, &request, &ids, &gather.parts, now);
            }
        }
    }

    fn gathered(
        &mut self,
        envelope: &Envelope<'_>,
        request: &AppVersionsRequest<'_>,
        ids: &[&str],
        parts: &Parts,
        now: Now,
    ) {
        let groups = grouped(ids, parts, self.config.seed);
        let mut desk = self.desk(now);
        desk.sender.app_versions(envelope, request.endpoint_ids, &groups);
    }
}

/// The endpoints of a request, each once, in the order in which it first names them.
fn distinct<'a>(ids: &Strings<'a>, seed: u64) -> Vec<&'a str> {
    let hasher = FixedState::with_seed(seed);
    let mut seen = HashMap::with_capacity_and_hasher(ids.len(), hasher);
    ids.iter().filter(|id| seen.insert(*id, ()).is_none()).collect()
}

/// Application versions with their endpoints, in the order in which the request first names one of each.
fn grouped<'a>(ids: &[&'a str], parts: &'a Parts, seed: u64) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = HashMap::with_hasher(FixedState::with_seed(seed));
    for (place, id) in ids.iter().enumerate() {
        let Some(app_version) = parts.version(place) else {
            continue;
        };
        let group = *places.entry(app_version).or_insert_with(|| {
            groups.push(Group {
                app_version,
                endpoint_ids: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].endpoint_ids.push(id);
    }
    groups
}
