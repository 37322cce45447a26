//! What one replica must answer: it knows every write, every message that arrived and every one that did not.

use std::collections::HashMap;

use crate::support::{FORGET, SILENCE};

/// Longest time that a message takes which is not lost, in milliseconds.
pub const MOST_DELAY: u64 = 400;
/// After how long the loss of a message from a known writer is noticed.
pub const BOUND: u64 = MOST_DELAY + SILENCE + 1;

/// A get that waits.
#[derive(Clone, Debug)]
pub struct Asked {
    pub endpoint: usize,
    pub floor: i64,
    /// What an old primary had, if its load may have read from one; else more than there is.
    view: i64,
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

    /// A get came. `now`: what the store has, if the replica is deaf and must ask it. `view`: what the primary
    /// that it reads from has, if that is an old one.
    pub fn asked(&mut self, reply: &str, endpoint: usize, now: Option<i64>, view: Option<i64>) {
        let view = view.unwrap_or(i64::MAX);
        let due = now.unwrap_or(self.due[endpoint]).min(view);
        let floor = self.told[endpoint].max(due).max(self.given[endpoint]);
        let asked = Asked {
            endpoint,
            floor,
            view,
            excused: false,
        };
        self.waiting.insert(reply.to_owned(), asked);
    }

    /// An answer went out.
    pub fn answered(&mut self, reply: &str, version: Option<i64>) -> Result<(), String> {
        let Some(asked) = self.waiting.remove(reply) else {
            return Err(format!("{reply} was answered twice, or too late"));
        };
        let Some(version) = version else { return Ok(()) };
        if version < asked.floor {
            return Err(format!(
                "{reply} for endpoint {} was answered with version {version}, not {} or more",
                asked.endpoint, asked.floor
            ));
        }
        let given = &mut self.given[asked.endpoint];
        if version < *given {
            return Err(format!(
                "{reply} was answered with {version} after {given} had been given"
            ));
        }
        *given = version;
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
    /// an old primary's answer, which has `view`, will do; and the majority may not have its version yet.
    pub fn event(&mut self, endpoint: usize, version: i64, stock: bool, view: Option<i64>) {
        if stock {
            let before = std::mem::take(&mut self.told[endpoint]);
            self.require(endpoint, before);
            let waiting = self
                .waiting
                .values_mut()
                .filter(|asked| asked.endpoint == endpoint);
            waiting.for_each(|asked| asked.floor = asked.floor.min(asked.view).min(view.unwrap_or(i64::MAX)));
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
