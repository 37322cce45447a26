//! Rule 5: who publishes, how far its numbers went, and whether it is still heard (`schemas/coherence/`).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Spans;
use crate::bugs::{Bug, Bugs};
use crate::limits::{MAX_WRITER_ID, MAX_WRITERS};
use crate::stats::FlushCause;

/// What a numbered message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// An event: its number is its own.
    Event,
    /// A heartbeat: its number is that of the last event.
    Heartbeat,
    /// The last heartbeat of a writer that stops.
    Goodbye,
}

/// A message's place among those of its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered<'a> {
    writer: &'a str,
    seq: u64,
    signal: Signal,
}

impl<'a> Numbered<'a> {
    /// Reads the values of the headers; None when they are not as `schemas/coherence/` has them.
    pub fn read(writer: &'a [u8], seq: &[u8], signal: Signal) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
        if writer.is_empty() || writer.len() > MAX_WRITER_ID || !writer.iter().all(plain) {
            return None;
        }
        if seq.is_empty() || seq.len() > 18 || !seq.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let writer = std::str::from_utf8(writer).ok()?;
        let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
        let numbered = seq > 0 || signal != Signal::Event;
        numbered.then_some(Self { writer, seq, signal })
    }

    /// How many events its writer had published before it.
    fn before(&self) -> u64 {
        self.seq - u64::from(self.signal == Signal::Event)
    }
}

/// What a message, or the want of one, came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The cache must be flushed.
    pub flush: Option<FlushCause>,
    /// Events that are known to be missing.
    pub lost: u64,
    /// A duplicate, or overtaken by a later one.
    pub late: bool,
}

impl Verdict {
    const FINE: Self = Self {
        flush: None,
        lost: 0,
        late: false,
    };
    const UNHEARD: Self = Self {
        flush: Some(FlushCause::Hole),
        ..Self::FINE
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InSequence,
    /// Numbers are missing, and nothing was in sequence since.
    Hole,
    Silent,
    /// It said goodbye; kept so that what it said before and comes late is not taken for a new writer.
    Left,
}

#[derive(Clone, Debug)]
struct Writer {
    state: State,
    /// Number of the last event heard of.
    last: u64,
    /// When it last showed that it lives, or the connection was made.
    heard_ms: u64,
    /// Whether it was heard on this connection.
    heard_here: bool,
    /// Whether it was known when this connection was made and was not heard since.
    awaited: bool,
}

/// How many writers are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All that are known and have not left.
    pub known: usize,
    /// Those that fell silent.
    pub silent: usize,
    /// Those of whom numbers are missing.
    pub with_holes: usize,
    /// How long ago that one of the others was heard that was heard least lately, in milliseconds.
    pub sound_ms: u64,
    /// The same of those that fell silent.
    pub silent_ms: u64,
    /// The same of those of whom numbers are missing.
    pub with_holes_ms: u64,
}

/// All writers that are known.
#[derive(Clone, Debug)]
pub struct Writers {
    table: HashMap<Box<str>, Writer, FixedState>,
    spans: Spans,
    /// Writers that are silent or have holes.
    unsound: usize,
    /// Writers known when the connection was made, and how many of them were not heard since.
    known_before: usize,
    awaited: usize,
    /// A writer found no room; nothing is coherent until then.
    crowded_until_ms: Option<u64>,
    /// Nothing falls due before.
    due_ms: u64,
    pub(super) bugs: Bugs,
}

impl Writers {
    /// Nobody is known.
    pub fn new(spans: Spans, seed: u64) -> Self {
        Self {
            table: HashMap::with_hasher(FixedState::with_seed(seed)),
            spans,
            unsound: 0,
            known_before: 0,
            awaited: 0,
            crowded_until_ms: None,
            due_ms: u64::MAX,
            bugs: Bugs::default(),
        }
    }

    /// Whether nothing is known to be missing, and nobody is missed.
    pub fn sound(&self) -> bool {
        self.unsound == 0 && self.crowded_until_ms.is_none()
    }

    /// Whether there were writers when the connection was made, and all of them were heard since.
    pub fn all_heard(&self) -> bool {
        self.known_before > 0 && self.awaited == 0
    }

    /// A connection was made: its server is not known to bring anybody's messages.
    pub fn connected(&mut self) {
        for writer in self.table.values_mut() {
            writer.heard_here = false;
            writer.awaited = writer.state != State::Left;
        }
        self.count();
        self.known_before = self.awaited;
    }

    /// The subscriptions are confirmed: from now on silence counts. What is missing from before was flushed.
    pub fn listening(&mut self, mono_ms: u64) {
        for writer in self.table.values_mut() {
            if matches!(writer.state, State::InSequence | State::Hole) {
                writer.state = State::InSequence;
                writer.heard_ms = mono_ms;
            }
        }
        self.count();
        self.due_ms = mono_ms;
    }

    /// A numbered message came.
    pub fn hear(&mut self, message: Numbered<'_>, mono_ms: u64) -> Verdict {
        let Some(writer) = self.table.get_mut(message.writer) else {
            return self.meet(message, mono_ms);
        };
        let before = message.before();
        if before < writer.last {
            return Verdict {
                late: true,
                ..Verdict::FINE
            };
        }
        let lost = before - writer.last;
        let heard_here = writer.heard_here;
        let was = (writer.state, writer.awaited);
        writer.state = match (writer.state, message.signal) {
            (State::Left, _) | (_, Signal::Goodbye) => State::Left,
            _ if lost > 0 && heard_here && !self.bugs.has(Bug::HolesAreIgnored) => State::Hole,
            _ => State::InSequence,
        };
        writer.last = message.seq;
        writer.heard_ms = mono_ms;
        writer.heard_here = true;
        writer.awaited = false;
        if was != (writer.state, false) {
            self.count();
        }
        self.due_ms = self.due_ms.min(mono_ms + self.spans.silence_ms);
        match lost {
            0 => Verdict::FINE,
            _ if self.bugs.has(Bug::HolesAreIgnored) => Verdict::FINE,
            _ if heard_here => Verdict {
                lost,
                ..Verdict::UNHEARD
            },
            _ => Verdict::UNHEARD,
        }
    }

    /// The first message of a writer.
    fn meet(&mut self, message: Numbered<'_>, mono_ms: u64) -> Verdict {
        if self.table.len() >= MAX_WRITERS && !self.make_room() {
            let until = mono_ms + self.spans.forget_ms;
            let news = self.crowded_until_ms.replace(until).is_none();
            self.due_ms = self.due_ms.min(until);
            return if news { Verdict::UNHEARD } else { Verdict::FINE };
        }
        let writer = Writer {
            state: if message.signal == Signal::Goodbye {
                State::Left
            } else {
                State::InSequence
            },
            last: message.seq,
            heard_ms: mono_ms,
            heard_here: true,
            awaited: false,
        };
        self.table.insert(message.writer.into(), writer);
        self.due_ms = self.due_ms.min(mono_ms + self.spans.silence_ms);
        if message.before() > 0 && !self.bugs.has(Bug::HolesAreIgnored) {
            Verdict::UNHEARD
        } else {
            Verdict::FINE
        }
    }

    /// Drops the writer that left first.
    fn make_room(&mut self) -> bool {
        let left = self
            .table
            .iter()
            .filter(|(_, writer)| writer.state == State::Left);
        let Some(id) = left
            .min_by_key(|(_, writer)| writer.heard_ms)
            .map(|(id, _)| id.clone())
        else {
            return false;
        };
        self.table.remove(&id).is_some()
    }

    /// Whether somebody may have been silent for too long: then [`Writers::pass`] must be asked.
    #[inline]
    pub fn due(&self, mono_ms: u64) -> bool {
        mono_ms >= self.due_ms
    }

    /// Time has passed: whoever is silent is found so, and forgotten in the end.
    pub fn pass(&mut self, mono_ms: u64) -> Verdict {
        if self.bugs.has(Bug::SilenceIsIgnored) {
            return Verdict::FINE;
        }
        let (silence, forget) = (self.spans.silence_ms, self.spans.forget_ms);
        let mut fell_silent = false;
        self.table.retain(|_, writer| {
            let quiet = mono_ms.saturating_sub(writer.heard_ms);
            if quiet >= silence && matches!(writer.state, State::InSequence | State::Hole) {
                fell_silent |= writer.state == State::InSequence;
                writer.state = State::Silent;
            }
            quiet < silence + forget
        });
        if self.crowded_until_ms.is_some_and(|until| until <= mono_ms) {
            self.crowded_until_ms = None;
        }
        self.count();
        self.due_ms = self.next_due();
        Verdict {
            flush: fell_silent.then_some(FlushCause::Heartbeat),
            ..Verdict::FINE
        }
    }

    fn next_due(&self) -> u64 {
        let due = |writer: &Writer| {
            let span = match writer.state {
                State::InSequence | State::Hole => self.spans.silence_ms,
                State::Silent | State::Left => self.spans.silence_ms + self.spans.forget_ms,
            };
            writer.heard_ms.saturating_add(span)
        };
        let times = self.table.values().map(due);
        times.chain(self.crowded_until_ms).min().unwrap_or(u64::MAX)
    }

    fn count(&mut self) {
        let unsound = |writer: &&Writer| matches!(writer.state, State::Silent | State::Hole);
        self.unsound = self.table.values().filter(unsound).count();
        self.awaited = self.table.values().filter(|writer| writer.awaited).count();
    }

    /// How many are in which state.
    pub fn census(&self, mono_ms: u64) -> Census {
        let mut census = Census::default();
        for writer in self.table.values().filter(|writer| writer.state != State::Left) {
            census.known += 1;
            let oldest_ms = match writer.state {
                State::Silent => {
                    census.silent += 1;
                    &mut census.silent_ms
                }
                State::Hole => {
                    census.with_holes += 1;
                    &mut census.with_holes_ms
                }
                State::InSequence | State::Left => &mut census.sound_ms,
            };
            *oldest_ms = (*oldest_ms).max(mono_ms.saturating_sub(writer.heard_ms));
        }
        census
    }
}
