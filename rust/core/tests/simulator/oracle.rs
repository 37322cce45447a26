//! What one replica must answer: it knows every write, every message that arrived and every one that did not.

use std::collections::HashMap;

use crate::asking;
use crate::support::{FORGET, SILENCE};

/// Longest time that a message takes which is not lost, in milliseconds.
pub const MOST_DELAY: u64 = 400;
/// After how long the loss of a message from a known writer is noticed.
pub const BOUND: u64 = MOST_DELAY + SILENCE + 1;

/// What an answer must tell of one endpoint.
#[derive(Clone, Copy, Debug)]
struct Part {
    endpoint: usize,
    floor: i64,
    /// What an old primary had, if its load may have read from one; else more than there is.
    view: i64,
    /// Whether later answers may not tell of less.
    binds: bool,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub struct Asked {
    pub what: asking::Asked,
    /// Of the endpoints that were named, in that order.
    parts: [Part; 2],
    /// The connection it came on was lost: nobody may be there to be answered.
    pub excused: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    heard_at: u64,
    /// Lost here before it was known: number, endpoint, version.
    lost: Vec<(u64, usize, i64)>,
    ever: bool,
}

/// The oracle of one replica.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// Versions that events told of which arrived.
    pub told: Vec<i64>,
    /// Versions that must have been noticed by now, one way or another.
    pub due: Vec<i64>,
    /// The most that was answered in this epoch.
    given: Vec<i64>,
    epoch: u64,
    pub waiting: HashMap<String, Asked>,
    writers: HashMap<u64, Known>,
}

impl Oracle {
    pub fn new(endpoints: usize) -> Self {
        Self {
            told: vec![0; endpoints],
            due: vec![0; endpoints],
            given: vec![0; endpoints],
            epoch: 0,
            waiting: HashMap::new(),
            writers: HashMap::new(),
        }
    }

    /// A request about two endpoints came, of which it may name the first alone. `now`: what the store has, if
    /// the replica is deaf and must ask it. `view`: what the primary that it reads from has, if that is an old one.
    pub fn asked(
        &mut self,
        reply: &str,
        what: asking::Asked,
        endpoints: [usize; 2],
        now: Option<&[i64]>,
        view: Option<&[i64]>,
    ) {
        let parts = endpoints.map(|endpoint| {
            let view = view.map_or(i64::MAX, |view| view[endpoint]);
            let due = now.map_or(self.due[endpoint], |now| now[endpoint]).min(view);
            let floor = self.told[endpoint].max(due).max(self.given[endpoint]);
            Part {
                endpoint,
                floor,
                view,
                binds: true,
            }
        });
        let asked = Asked {
            what,
            parts,
            excused: false,
        };
        self.waiting.insert(reply.to_owned(), asked);
    }

    /// What is answered now, and the endpoints that it named.
    pub fn answer_to(&self, reply: &str) -> Result<(asking::Asked, [usize; 2]), String> {
        let asked = self.waiting.get(reply);
        let asked = asked.ok_or_else(|| format!("{reply} was answered twice, or too late"))?;
        Ok((asked.what, asked.parts.map(|part| part.endpoint)))
    }

    /// An answer went out, with the version of each place among the endpoints that it tells of; 503: of none.
    pub fn answered(&mut self, reply: &str, versions: &[(usize, i64)]) -> Result<(), String> {
        let asked = self.waiting.remove(reply).expect("was looked up");
        for (place, version) in versions {
            let Part {
                endpoint,
                floor,
                binds,
                ..
            } = asked.parts[*place];
            if *version < floor {
                return Err(format!(
                    "{reply} for endpoint {endpoint} was answered with version {version}, not {floor} or more"
                ));
            }
            let given = &mut self.given[endpoint];
            // A part of an answer may have been read before others were answered with more.
            if *version < *given && asked.what != asking::Asked::AppVersions {
                return Err(format!(
                    "{reply} was answered with {version} after {given} had been given"
                ));
            }
            if binds {
                *given = (*given).max(*version);
            }
        }
        Ok(())
    }

    /// The responder is in this epoch: answers of another one bind it no more.
    pub fn in_epoch(&mut self, epoch: u64) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.given.fill(0);
        }
    }

    /// An event arrived. A stock one may have set the version back, for all the responder knows: from then on
    /// an old primary's answer, which has `view`, will do, even if events had been applied beyond that; and the
    /// majority may not have its version yet.
    pub fn event(&mut self, endpoint: usize, version: i64, stock: bool, view: Option<i64>) {
        if stock {
            let before = std::mem::take(&mut self.told[endpoint]);
            self.require(endpoint, before);
            self.given[endpoint] = self.given[endpoint].min(view.unwrap_or(i64::MAX));
            for asked in self.waiting.values_mut() {
                let gathers = asked.what == asking::Asked::AppVersions;
                for part in asked.parts.iter_mut().filter(|part| part.endpoint == endpoint) {
                    part.floor = part.floor.min(part.view).min(view.unwrap_or(i64::MAX));
                    // It may hold what was cached before.
                    part.binds &= !gathers;
                }
            }
        } else {
            self.told[endpoint] = self.told[endpoint].max(version);
        }
    }

    /// A message arrived.
    pub fn heard(&mut self, writer: u64, seq: u64, now: u64) {
        let known = self.writers.entry(writer).or_default();
        known.heard_at = known.heard_at.max(now);
        known.ever = true;
        let due = &mut self.due;
        known.lost.retain(|(lost, endpoint, version)| {
            let noticed = *lost <= seq;
            if noticed {
                due[*endpoint] = due[*endpoint].max(*version);
            }
            !noticed
        });
    }

    /// An event did not arrive; returns whether its absence will be noticed within the bound.
    pub fn lost(&mut self, writer: u64, seq: u64, endpoint: usize, version: i64, now: u64) -> bool {
        let known = self.writers.entry(writer).or_default();
        let will_be = known.ever && now < known.heard_at + FORGET;
        known.lost.push((seq, endpoint, version));
        will_be
    }

    /// Whether the writer would be missed if it crashed now.
    pub fn knows(&self, writer: u64, now: u64) -> bool {
        let known = self.writers.get(&writer);
        known.is_some_and(|known| known.ever && now < known.heard_at + FORGET)
    }

    pub fn require(&mut self, endpoint: usize, version: i64) {
        self.due[endpoint] = self.due[endpoint].max(version);
    }

    /// The subscriptions of a new connection are confirmed: nothing from before is worth anything.
    pub fn ears(&mut self, store: &[i64]) {
        for (endpoint, version) in store.iter().enumerate() {
            self.require(endpoint, *version);
        }
    }

    /// The connection was lost.
    pub fn cut_off(&mut self) {
        for asked in self.waiting.values_mut() {
            asked.excused = true;
        }
    }
}
