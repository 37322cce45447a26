//! When an entry may be served and a load may be cached (ARCHITECTURE.md, "Coherence").
//!
//! A load begun in one epoch is worth nothing in the next. The epoch grows when a connection is made or lost, when
//! its event subscriptions are confirmed or lost, and with every flush.

mod floors;
mod settling;
mod writers;

pub use floors::{Floors, Found};
pub use writers::{Census, Numbered, Signal, Verdict};

use crate::bugs::{Bug, Bugs};

use self::settling::Settling;
use self::writers::Writers;

/// Spans of the rules, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// Rule 3: after connecting to a cluster nothing is cached for so long.
    pub settle_ms: u64,
    /// Rule 5: a writer not heard for so long is silent.
    pub silence_ms: u64,
    /// Rule 5: a writer silent for so long is forgotten.
    pub forget_ms: u64,
    /// Rule 6: a version is a floor for so long.
    pub floor_ms: u64,
    /// Rule 7: after an event without our headers its endpoint is not cached for so long.
    pub foreign_settle_ms: u64,
}

/// The state of one responder's hearing.
#[derive(Clone, Debug)]
pub struct Coherence {
    spans: Spans,
    epoch: u32,
    connected: bool,
    hearing: bool,
    settled_at_ms: u64,
    writers: Writers,
    floors: Floors,
    foreign: Settling,
    bugs: Bugs,
}

impl Coherence {
    /// Before the first connection: deaf.
    pub fn new(spans: Spans, seed: u64) -> Self {
        Self {
            spans,
            epoch: 0,
            connected: false,
            hearing: false,
            settled_at_ms: 0,
            writers: Writers::new(spans, seed),
            floors: Floors::new(spans.floor_ms, seed),
            foreign: Settling::new(seed),
            bugs: Bugs::default(),
        }
    }

    /// What entries and flights that are worth something carry.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether entries may be served (rules 4 and 5).
    pub fn may_serve(&self) -> bool {
        (self.hearing || self.bugs.has(Bug::DeafServesCache)) && self.writers.sound()
    }

    /// Whether a load of `id` that begins now may be cached (rules 3 to 7).
    pub fn may_cache(&mut self, id: &str, mono_ms: u64) -> bool {
        self.may_serve()
            && self.settled(mono_ms)
            && !self.foreign.holds(id, mono_ms)
            && !self.floors.may_lack(id, mono_ms)
    }

    /// Whether the cluster knows of our subscriptions (rule 3).
    fn settled(&self, mono_ms: u64) -> bool {
        mono_ms >= self.settled_at_ms || self.writers.all_heard()
    }

    /// A connection was made: nothing survives the gap (rule 3).
    pub fn connected(&mut self, cluster: bool, mono_ms: u64) {
        self.connected = true;
        self.hearing = false;
        self.settled_at_ms = if cluster && !self.bugs.has(Bug::NothingSettles) {
            mono_ms.saturating_add(self.spans.settle_ms)
        } else {
            0
        };
        self.writers.connected();
        self.gap();
    }

    /// The connection is gone, and with it every event from now on.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.hearing = false;
        self.gap();
    }

    /// The event subscriptions were confirmed, or one of them was refused or ended (rule 4); returns whether
    /// anything changed. A confirmation that comes when its connection is gone is none.
    pub fn ears(&mut self, hearing: bool, mono_ms: u64) -> bool {
        let hearing = hearing && self.connected;
        let changed = self.hearing != hearing;
        if changed {
            self.hearing = hearing;
            self.gap();
            if hearing {
                self.writers.listening(mono_ms);
            }
        }
        changed
    }

    fn gap(&mut self) {
        if !self.bugs.has(Bug::ReconnectKeepsCache) {
            self.new_epoch();
        }
    }

    /// Everything before is void.
    pub fn new_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// A numbered event or heartbeat (rule 5).
    pub fn heard(&mut self, message: Numbered<'_>, mono_ms: u64) -> Verdict {
        self.writers.hear(message, mono_ms)
    }

    /// Whether [`Coherence::pass`] must be asked before anything is served.
    #[inline]
    pub fn due(&self, mono_ms: u64) -> bool {
        self.hearing && self.writers.due(mono_ms)
    }

    /// Time has passed: writers may have fallen silent (rule 5).
    pub fn pass(&mut self, mono_ms: u64) -> Verdict {
        self.writers.pass(mono_ms)
    }

    /// An event of ours left `id` at `version` (rule 6); `gone`: it was unregistered.
    pub fn versioned_event(&mut self, id: &str, version: i64, gone: bool, mono_ms: u64) {
        self.floors.raise(id, version, gone, mono_ms);
    }

    /// An event without our headers changed `id` (rules 6 and 7).
    pub fn foreign_event(&mut self, id: &str, mono_ms: u64) {
        self.floors.lower(id);
        if !self.bugs.has(Bug::ForeignEventsDoNotSettle) {
            let until_ms = mono_ms.saturating_add(self.spans.foreign_settle_ms);
            self.foreign.hold(id, mono_ms, until_ms);
        }
    }

    /// Whether what a load found is at least what events told of (rule 6).
    pub fn admits(&self, id: &str, found: Found, mono_ms: u64) -> bool {
        self.bugs.has(Bug::FloorsAreIgnored) || self.floors.admit(id, found, mono_ms)
    }

    /// The operator says that the store may have gone back.
    pub fn forget_floors(&mut self) {
        self.floors.clear();
    }

    /// How many floors there are.
    pub fn floors(&self) -> usize {
        self.floors.len()
    }

    /// The writers, counted.
    pub fn census(&self, mono_ms: u64) -> Census {
        self.writers.census(mono_ms)
    }

    /// Breaks one rule.
    #[cfg(feature = "bug-switches")]
    pub fn break_with(&mut self, bugs: Bugs) {
        self.bugs = bugs;
        self.writers.bugs = bugs;
    }
}
