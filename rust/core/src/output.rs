//! Answers on their way out: to the live connection, or held in bounds while there is none.

use std::collections::VecDeque;

use crate::frame::PublishLen;

/// Bounds of what is held while no connection is up.
#[derive(Clone, Copy, Debug)]
pub struct HoldBounds {
    /// Most bytes; the oldest are dropped first.
    pub max_bytes: usize,
    /// Longest time in milliseconds, for requests that name none.
    pub max_age_ms: u64,
}

/// Until when an answer is worth sending.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// `timestamp + timeout` of the request, Unix milliseconds.
    pub wall_ms: Option<i64>,
    /// The hold's own bound, monotonic milliseconds.
    mono_ms: u64,
}

#[derive(Clone, Debug)]
struct Held {
    frame: Box<[u8]>,
    len: PublishLen,
    deadline: Deadline,
}

/// Frames for the connection.
#[derive(Clone, Debug)]
pub struct Output {
    ready: Vec<u8>,
    up: bool,
    held: VecDeque<Held>,
    held_bytes: usize,
    bounds: HoldBounds,
    dropped: u64,
}

impl Output {
    /// No connection yet.
    pub fn new(bounds: HoldBounds) -> Self {
        Self {
            ready: Vec::new(),
            up: false,
            held: VecDeque::new(),
            held_bytes: 0,
            bounds,
            dropped: 0,
        }
    }

    /// Bytes ready to be written.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Answers dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// A connection is up: what was held, is still in time and `fits` this server becomes ready. A server closes
    /// the connection over a frame beyond its limits, so what only another one would have taken is dropped.
    pub fn link_up(&mut self, wall_ms: i64, mono_ms: u64, fits: impl Fn(PublishLen) -> bool) {
        self.up = true;
        self.ready.clear();
        self.held_bytes = 0;
        for held in self.held.drain(..) {
            if held.deadline.passed(wall_ms, mono_ms) || !fits(held.len) {
                self.dropped += 1;
            } else {
                self.ready.extend_from_slice(&held.frame);
            }
        }
    }

    /// The connection is gone, and with it what was ready for it.
    pub fn link_down(&mut self) {
        self.up = false;
        self.ready.clear();
    }

    /// Makes one frame: straight into the ready bytes, or held until a connection is up.
    pub fn frame(
        &mut self,
        len: PublishLen,
        wall_deadline_ms: Option<i64>,
        mono_ms: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.up {
            write(&mut self.ready);
            return;
        }
        let mut frame = Vec::new();
        write(&mut frame);
        if frame.len() > self.bounds.max_bytes {
            self.dropped += 1;
            return;
        }
        while self.held_bytes + frame.len() > self.bounds.max_bytes {
            self.drop_oldest();
        }
        let deadline = Deadline {
            wall_ms: wall_deadline_ms,
            mono_ms: mono_ms.saturating_add(self.bounds.max_age_ms),
        };
        self.held_bytes += frame.len();
        self.held.push_back(Held {
            frame: frame.into(),
            len,
            deadline,
        });
    }

    /// Drops held answers whose time has passed.
    pub fn tick(&mut self, wall_ms: i64, mono_ms: u64) {
        let before = self.held.len();
        let bytes = &mut self.held_bytes;
        self.held.retain(|held| {
            let keep = !held.deadline.passed(wall_ms, mono_ms);
            *bytes -= if keep { 0 } else { held.frame.len() };
            keep
        });
        self.dropped += (before - self.held.len()) as u64;
    }

    /// Takes the ready bytes, leaving `keep` bytes of capacity for the next.
    pub fn take(&mut self, keep: usize) -> Vec<u8> {
        std::mem::replace(&mut self.ready, Vec::with_capacity(keep))
    }

    /// The ready bytes, to be copied out and then cleared.
    pub fn ready_bytes(&self) -> &[u8] {
        &self.ready
    }

    /// Forgets the ready bytes, keeping at most `keep` bytes of capacity.
    pub fn clear_ready(&mut self, keep: usize) {
        self.ready.clear();
        self.ready.shrink_to(keep);
    }

    /// Undoes what was made ready beyond `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.ready.truncate(len);
    }

    fn drop_oldest(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.held_bytes -= held.frame.len();
            self.dropped += 1;
        }
    }
}

impl Deadline {
    fn passed(self, wall_ms: i64, mono_ms: u64) -> bool {
        mono_ms >= self.mono_ms || self.wall_ms.is_some_and(|deadline| wall_ms > deadline)
    }
}
