//! Scanning the bytes a NATS server sends, whole or split at any byte.
//!
//! Only `MSG` and `HMSG` frames of routed subscriptions are taken out; everything else is handed on as it
//! comes, in wire order, so that nats-py's own parser sees a gapless protocol stream. A frame of ours that
//! lies whole in the chunk is read in place. One that is split is gathered in `carry`, which therefore never
//! holds more than one control line and one payload within the limits; longer ones are passed on as well and
//! reach the service through nats-py's ordinary callback.

use memchr::memchr;

use super::Kind;
use crate::limits::{CARRY_KEEP, MAX_CONTROL_LINE, MAX_ROUTES};

/// One message of a routed subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the subscription carries.
    pub kind: Kind,
    /// The reply subject, empty when there is none.
    pub reply: &'a [u8],
    /// The header block including its final empty line, empty for `MSG`.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A message of ours.
    Message(Message<'a>),
    /// Bytes that belong to nats-py.
    Pass(&'a [u8]),
    /// Nothing more can be told before the next chunk.
    Need,
}

/// Which subscription ids are ours.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<(u64, Kind)>);

impl Routes {
    /// Routes `sid`; false when the table is full.
    pub fn bind(&mut self, sid: u64, kind: Kind) -> bool {
        self.unbind(sid);
        let room = self.0.len() < MAX_ROUTES;
        if room {
            self.0.push((sid, kind));
        }
        room
    }

    /// Gives `sid` back to nats-py.
    pub fn unbind(&mut self, sid: u64) {
        self.0.retain(|(bound, _)| *bound != sid);
    }

    fn kind(&self, sid: u64) -> Option<Kind> {
        self.0
            .iter()
            .find(|(bound, _)| *bound == sid)
            .map(|(_, kind)| *kind)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At a control line; `carry` may hold its beginning.
    Line,
    /// `carry` holds the control line of a message of ours and a part of its body.
    Body(Head),
    /// In a control line that is nats-py's.
    PassLine,
    /// In the body of a message that is nats-py's.
    PassBody { left: usize },
    /// The stream is not NATS any more: all of it goes to nats-py, which will say so.
    Lost,
}

/// A parsed control line; positions are relative to its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    kind: Kind,
    reply: (usize, usize),
    line: usize,
    headers: usize,
    body: usize,
}

impl Head {
    fn frame_len(&self) -> usize {
        self.line + self.body + 2
    }

    /// The message in `frame`, which holds at least `frame_len` bytes; None when it does not end in CRLF.
    fn message<'a>(&self, frame: &'a [u8]) -> Option<Message<'a>> {
        let end = self.line + self.body;
        (frame.get(end..end + 2)? == b"\r\n").then(|| Message {
            kind: self.kind,
            reply: &frame[self.reply.0..self.reply.1],
            headers: &frame[self.line..self.line + self.headers],
            payload: &frame[self.line + self.headers..end],
        })
    }
}

/// The scanner of one connection.
#[derive(Clone, Debug)]
pub struct Scanner {
    state: State,
    carry: Vec<u8>,
    /// `carry` was handed out by the last step and is empty from the next one on.
    spent: bool,
    /// The message that is being passed on is an event.
    event_passes: bool,
    max_payload: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Scanner {
    /// A scanner at the start of a connection; messages above `max_payload` bytes are passed on.
    pub fn new(max_payload: usize) -> Self {
        Self {
            state: State::Line,
            carry: Vec::new(),
            spent: false,
            event_passes: false,
            max_payload,
        }
    }

    /// The server's `max_payload` in bytes, known once its INFO was read.
    pub fn set_max_payload(&mut self, max_payload: usize) {
        self.max_payload = max_payload;
    }

    /// Whether the last step began to pass on an event, which nats-py will bring later than its place in the
    /// stream; told once.
    pub fn take_passed_event(&mut self) -> bool {
        std::mem::take(&mut self.event_passes)
    }

    /// Bytes held for a frame that is not complete yet.
    pub fn held(&self) -> usize {
        if self.spent { 0 } else { self.carry.len() }
    }

    /// Takes one step in `chunk` from `*pos` on.
    pub fn step<'a>(&'a mut self, routes: &Routes, chunk: &'a [u8], pos: &mut usize) -> Step<'a> {
        if self.spent {
            self.carry.clear();
            self.carry.shrink_to(CARRY_KEEP);
            self.spent = false;
        }
        let rest = chunk.get(*pos..).unwrap_or_default();
        if rest.is_empty() {
            return Step::Need;
        }
        match self.state {
            State::Line if self.carry.is_empty() => self.line_in_place(routes, rest, pos),
            State::Line => self.line_from_carry(routes, rest, pos),
            State::Body(head) => self.body(head, rest, pos),
            State::PassLine => self.pass_line(rest, pos),
            State::PassBody { left } => {
                let taken = left.min(rest.len());
                self.state = if taken == left {
                    State::Line
                } else {
                    State::PassBody { left: left - taken }
                };
                pass(rest, taken, pos)
            }
            State::Lost => pass(rest, rest.len(), pos),
        }
    }

    /// Nothing is carried: the line, and with luck the body, lie in the chunk.
    fn line_in_place<'a>(&'a mut self, routes: &Routes, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        match prefix(rest) {
            Prefix::Other => return self.pass_line(rest, pos),
            Prefix::Unknown => return self.keep(rest, pos),
            Prefix::Message => {}
        }
        let Some(end) = memchr(b'\n', rest) else {
            return self.keep(rest, pos);
        };
        match self.parse(routes, &rest[..=end]) {
            Line::Ours(head) if rest.len() >= head.frame_len() => match head.message(rest) {
                Some(message) => {
                    *pos += head.frame_len();
                    Step::Message(message)
                }
                None => self.lose(rest, pos),
            },
            Line::Ours(head) => {
                self.state = State::Body(head);
                self.keep(rest, pos)
            }
            Line::Theirs { body, event } => {
                self.event_passes = event;
                self.state = State::PassBody { left: body + 2 };
                pass(rest, end + 1, pos)
            }
            Line::Odd => {
                self.state = State::Lost;
                pass(rest, rest.len(), pos)
            }
        }
    }

    fn pass_line<'a>(&mut self, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        let end = memchr(b'\n', rest);
        self.state = if end.is_some() {
            State::Line
        } else {
            State::PassLine
        };
        pass(rest, end.map_or(rest.len(), |at| at + 1), pos)
    }

    /// The beginning of the line is carried: gather the rest of it.
    fn line_from_carry<'a>(&'a mut self, routes: &Routes, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        let end = memchr(b'\n', rest);
        let taken = end.map_or(rest.len(), |at| at + 1);
        if self.carry.len() + taken > MAX_CONTROL_LINE {
            self.state = State::PassLine;
            return self.spend();
        }
        self.carry.extend_from_slice(&rest[..taken]);
        *pos += taken;
        if prefix(&self.carry) == Prefix::Other {
            self.state = if end.is_some() {
                State::Line
            } else {
                State::PassLine
            };
            return self.spend();
        }
        if end.is_none() {
            return Step::Need;
        }
        match self.parse(routes, &self.carry) {
            Line::Ours(head) => {
                self.state = State::Body(head);
                let rest = &rest[taken..];
                if rest.is_empty() {
                    Step::Need
                } else {
                    self.body(head, rest, pos)
                }
            }
            Line::Theirs { body, event } => {
                self.event_passes = event;
                self.state = State::PassBody { left: body + 2 };
                self.spend()
            }
            Line::Odd => {
                self.state = State::Lost;
                self.spend()
            }
        }
    }

    fn body<'a>(&'a mut self, head: Head, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        let taken = (head.frame_len() - self.carry.len()).min(rest.len());
        self.carry.extend_from_slice(&rest[..taken]);
        *pos += taken;
        if self.carry.len() < head.frame_len() {
            return Step::Need;
        }
        self.spent = true;
        match head.message(&self.carry) {
            Some(message) => {
                self.state = State::Line;
                Step::Message(message)
            }
            None => {
                self.state = State::Lost;
                Step::Pass(&self.carry)
            }
        }
    }

    fn keep<'a>(&'a mut self, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        if self.state == State::Line && rest.len() > MAX_CONTROL_LINE {
            self.state = State::PassLine;
            return pass(rest, rest.len(), pos);
        }
        self.carry.extend_from_slice(rest);
        *pos += rest.len();
        Step::Need
    }

    fn spend(&mut self) -> Step<'_> {
        self.spent = true;
        Step::Pass(&self.carry)
    }

    fn lose<'a>(&mut self, rest: &'a [u8], pos: &mut usize) -> Step<'a> {
        self.state = State::Lost;
        pass(rest, rest.len(), pos)
    }

    /// Reads `MSG subject sid [reply] size` or `HMSG subject sid [reply] header-size size`, as nats-server
    /// writes them: single spaces, decimal numbers, CRLF.
    fn parse(&self, routes: &Routes, line: &[u8]) -> Line {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Line::Odd;
        };
        let with_headers = text.first() == Some(&b'H');
        let mut fields = Fields {
            text,
            at: if with_headers { 5 } else { 4 },
        };
        let (Some(_subject), Some(sid)) = (fields.next(), fields.next()) else {
            return Line::Odd;
        };
        let mut tail = [(0, 0); 3];
        let mut count = 0;
        for field in fields {
            if count == tail.len() {
                return Line::Odd;
            }
            tail[count] = field;
            count += 1;
        }
        let sizes = if with_headers { 2 } else { 1 };
        if count != sizes && count != sizes + 1 {
            return Line::Odd;
        }
        let reply = if count > sizes { tail[0] } else { (0, 0) };
        let size = |(from, to): (usize, usize)| number(&text[from..to]);
        let headers = if with_headers {
            size(tail[count - 2])
        } else {
            Some(0)
        };
        let (Some(sid), Some(headers), Some(body)) = (size(sid), headers, size(tail[count - 1])) else {
            return Line::Odd;
        };
        if headers > body {
            return Line::Odd;
        }
        match routes.kind(sid as u64) {
            Some(kind) if body <= self.max_payload => Line::Ours(Head {
                kind,
                reply,
                line: line.len(),
                headers,
                body,
            }),
            kind => Line::Theirs {
                body,
                event: kind.is_some_and(|kind| !kind.is_request()),
            },
        }
    }
}

fn pass<'a>(rest: &'a [u8], len: usize, pos: &mut usize) -> Step<'a> {
    *pos += len;
    Step::Pass(&rest[..len])
}

enum Line {
    Ours(Head),
    Theirs {
        body: usize,
        /// It is an event of ours, but too large.
        event: bool,
    },
    /// Not a line as nats-server writes it: nats-py's parser decides.
    Odd,
}

#[derive(PartialEq, Eq)]
enum Prefix {
    Message,
    Other,
    /// Too short to tell.
    Unknown,
}

fn prefix(line: &[u8]) -> Prefix {
    for op in [b"MSG ".as_slice(), b"HMSG "] {
        let len = op.len().min(line.len());
        if line[..len] == op[..len] {
            return if len == op.len() {
                Prefix::Message
            } else {
                Prefix::Unknown
            };
        }
    }
    Prefix::Other
}

/// Bytes that are looked through sooner than `memchr` is called: a subscription id and a size.
const SHORT: usize = 16;

/// Fields separated by single spaces, as ranges; an empty field ends the line as odd (its number fails).
struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Fields<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let rest = self.text.get(self.at..)?;
        let space = if rest.len() <= SHORT {
            rest.iter().position(|byte| *byte == b' ')
        } else {
            memchr(b' ', rest)
        };
        let len = space.unwrap_or(rest.len());
        let field = (self.at, self.at + len);
        self.at += len + 1;
        Some(field)
    }
}

/// A decimal number of at most 18 digits, so that it fits and sums cannot overflow.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0usize, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + usize::from(digit - b'0'))
    })
}
