//! Register processes: they commit, then publish, then beat; and crash in between.

use std::collections::VecDeque;

/// A message of a writer, as every replica may or may not get it.
#[derive(Clone, Debug)]
pub enum Message {
    Event {
        seq: u64,
        endpoint: usize,
        version: i64,
        /// It can be applied to what is cached.
        exact: bool,
    },
    Beat {
        seq: u64,
        leaving: bool,
    },
}

impl Message {
    /// The number of the last event published when it was sent.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Event { seq, .. } | Self::Beat { seq, .. } => *seq,
        }
    }
}

/// One register, restarted as another writer each time.
#[derive(Clone, Debug)]
pub struct Register {
    /// Which start this is; the writer's ID follows from it.
    pub start: u64,
    pub up: bool,
    /// A stock Kaa service: no headers, no heartbeats.
    pub stock: bool,
    pub seq: u64,
    /// Committed and not yet published.
    pub outbox: VecDeque<(usize, i64)>,
}

impl Register {
    pub fn new(start: u64, stock: bool) -> Self {
        Self {
            start,
            up: true,
            stock,
            seq: 0,
            outbox: VecDeque::new(),
        }
    }

    /// The next event out of the outbox; `exact`: what it changed is known.
    pub fn publish(&mut self, exact: bool) -> Option<Message> {
        let (endpoint, version) = self.outbox.pop_front()?;
        self.seq += 1;
        Some(Message::Event {
            seq: self.seq,
            endpoint,
            version,
            exact,
        })
    }

    pub fn beat(&self, leaving: bool) -> Message {
        Message::Beat {
            seq: self.seq,
            leaving,
        }
    }

    /// The process starts again; what it had not published is still in the store.
    pub fn restart(&mut self, start: u64) {
        *self = Self {
            outbox: std::mem::take(&mut self.outbox),
            ..Self::new(start, self.stock)
        };
    }
}
