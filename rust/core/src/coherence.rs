//! When an entry may be served and a load may be cached (design section 3).
//!
//! A load begun in one epoch is worth nothing in the next. The epoch grows when a connection is made, when its
//! event subscriptions are confirmed, and with every flush.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::limits::MAX_SETTLING;

/// Spans of the rules, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// Rule 3: after connecting to a cluster nothing is cached for so long.
    pub settle_ms: u64,
    /// Rule 7: after an event without our headers its endpoint is not cached for so long.
    pub foreign_settle_ms: u64,
}

/// The state of one responder's hearing.
#[derive(Debug)]
pub struct Coherence {
    spans: Spans,
    epoch: u32,
    connected: bool,
    hearing: bool,
    settled_at_ms: u64,
    foreign: Settling,
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
            foreign: Settling::new(seed),
        }
    }

    /// What entries and flights that are worth something carry.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether entries may be served (rule 4).
    pub fn may_serve(&self) -> bool {
        self.hearing
    }

    /// Whether a load of `id` that begins now may be cached (rules 3, 4 and 7).
    pub fn may_cache(&self, id: &str, mono_ms: u64) -> bool {
        self.hearing && mono_ms >= self.settled_at_ms && !self.foreign.holds(id, mono_ms)
    }

    /// A connection was made: nothing survives the gap (rule 3).
    pub fn connected(&mut self, cluster: bool, mono_ms: u64) {
        self.connected = true;
        self.hearing = false;
        self.settled_at_ms = if cluster {
            mono_ms.saturating_add(self.spans.settle_ms)
        } else {
            0
        };
        self.new_epoch();
    }

    /// The connection is gone, and with it every event from now on.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.hearing = false;
        self.new_epoch();
    }

    /// The event subscriptions were confirmed, or one of them was refused or ended (rule 4); returns whether
    /// anything changed. A confirmation that comes when its connection is gone is none.
    pub fn ears(&mut self, hearing: bool) -> bool {
        let hearing = hearing && self.connected;
        let changed = self.hearing != hearing;
        if changed {
            self.hearing = hearing;
            self.new_epoch();
        }
        changed
    }

    /// Everything before is void.
    pub fn new_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// An event without our headers changed `id` (rule 7).
    pub fn foreign_event(&mut self, id: &str, mono_ms: u64) {
        self.foreign
            .hold(id, mono_ms, mono_ms.saturating_add(self.spans.foreign_settle_ms));
    }
}

/// Endpoints whose loads are not cached for a while; when there are too many of them, all are.
#[derive(Debug)]
struct Settling {
    until_ms: HashMap<Box<str>, u64, FixedState>,
    order: VecDeque<(u64, Box<str>)>,
    all_until_ms: u64,
}

impl Settling {
    fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            until_ms: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
            all_until_ms: 0,
        }
    }

    fn holds(&self, id: &str, mono_ms: u64) -> bool {
        mono_ms < self.all_until_ms || self.until_ms.get(id).is_some_and(|until| mono_ms < *until)
    }

    fn hold(&mut self, id: &str, mono_ms: u64, until_ms: u64) {
        self.forget_past(mono_ms);
        if until_ms <= mono_ms {
            return;
        }
        if self.order.len() >= MAX_SETTLING {
            self.all_until_ms = until_ms;
            return;
        }
        self.until_ms.insert(id.into(), until_ms);
        self.order.push_back((until_ms, id.into()));
    }

    fn forget_past(&mut self, mono_ms: u64) {
        while self.order.front().is_some_and(|(until, _)| *until <= mono_ms) {
            if let Some((until, id)) = self.order.pop_front()
                && self.until_ms.get(&id) == Some(&until)
            {
                self.until_ms.remove(&id);
            }
        }
    }
}
