//! JSON text (RFC 8259) to the BSON that is stored of it, in one pass and without recursion.
//!
//! Stricter than the RFC asks for: a name stands once in an object, integers fit 64 bits, other numbers a double, and
//! strings are Unicode. Integers of 32 bits become int32, larger ones int64, numbers with a fraction or an exponent
//! doubles, as PyMongo stores what Python's `json` reads. The first fault from left to right is told; what is wrong
//! with a string is judged behind it, what is wrong with an object at its end.

mod names;
mod number;
mod place;
mod text;

use super::RawValue;
use super::fault::{Fault, Reason};
use crate::bson::write::{self, kind};
use crate::limits::MAX_VALUE_DEPTH;
use names::{Name, hides_a_method, is_doubled};

/// How much a text may hold.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
    /// Arrays and objects of one value that are open at a time; at most [`MAX_VALUE_DEPTH`].
    pub max_depth: u32,
    /// Levels of the text that stand around values: 1 for an object of keys and values. To be read, not to be stored.
    pub envelope: u32,
    /// Values of all kinds, those in others included.
    pub max_values: u32,
    /// Against names that were chosen to collide.
    pub seed: u64,
}

/// The value that `text` stands for.
///
/// # Errors
/// A [`Fault`], the first from left to right.
pub fn parse(text: &[u8], limits: &JsonLimits) -> Result<RawValue, Fault> {
    let text =
        std::str::from_utf8(text).map_err(|error| Fault::of_text(Reason::Utf8(error.valid_up_to())))?;
    if text.starts_with('\u{FEFF}') {
        return Err(Fault::of_text(Reason::ByteOrderMark));
    }
    Parser::new(text, limits).document()
}

/// An array or object that is open.
struct Frame {
    document: write::Open,
    is_object: bool,
    /// Elements that have begun.
    count: usize,
    /// How many names of objects around it stand before its own in `Parser::names`.
    names: usize,
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The value so far, behind a byte for its type.
    out: Vec<u8>,
    frames: Vec<Frame>,
    /// Names of all open objects, as they stand in `out`.
    names: Vec<Name>,
    values: u32,
    hard_numbers: usize,
    limits: JsonLimits,
    max_open: usize,
}

/// What a value turned out to be.
enum Begun {
    /// It is read.
    Whole,
    /// An array or object, empty so far.
    Opened,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: &JsonLimits) -> Self {
        let max_open = limits.max_depth.min(MAX_VALUE_DEPTH) + limits.envelope;
        let mut out = Vec::with_capacity(text.len() + text.len() / 2 + 16);
        out.push(kind::NULL);
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            out,
            frames: Vec::new(),
            names: Vec::new(),
            values: 0,
            hard_numbers: 0,
            limits: *limits,
            max_open: max_open as usize,
        }
    }

    fn document(mut self) -> Result<RawValue, Fault> {
        if self.peek().is_none() {
            return Err(Fault::of_text(Reason::Empty));
        }
        let mut begun = self.value(0)?;
        while let Some(kind_at) = self.next_element(&begun)? {
            begun = self.value(kind_at)?;
        }
        if self.peek().is_some() {
            return Err(Fault::of_text(Reason::Trailing(self.at)));
        }
        Ok(RawValue::new(self.out[0], &self.out[1..]))
    }

    /// Ends what ends here, and begins the next element: the place of its type. None: the outermost value is read.
    fn next_element(&mut self, begun: &Begun) -> Result<Option<usize>, Fault> {
        let mut is_first = matches!(begun, Begun::Opened);
        loop {
            let Some(frame) = self.frames.last() else {
                return Ok(None);
            };
            let is_object = frame.is_object;
            let close = if is_object { b'}' } else { b']' };
            match self.peek() {
                Some(byte) if byte == close => self.close()?,
                Some(_) if is_first => return self.element(is_object).map(Some),
                Some(b',') => {
                    self.at += 1;
                    return self.element(is_object).map(Some);
                }
                _ => return Err(self.syntax()),
            }
            is_first = false;
        }
    }

    /// The type (a place for it) and the name of the next element of the innermost frame.
    fn element(&mut self, is_object: bool) -> Result<usize, Fault> {
        let kind_at = self.out.len();
        if is_object {
            self.out.push(0);
            self.name()?;
        }
        if let Some(frame) = self.frames.last_mut() {
            if !is_object {
                write::put_index(&mut self.out, 0, frame.count);
            }
            frame.count += 1;
        }
        Ok(kind_at)
    }

    /// A name and the colon behind it.
    fn name(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let start = self.out.len();
        let marks = self.string_content()?;
        if marks.half_surrogate {
            return Err(self.fault_of_frame(Reason::NameSurrogate));
        }
        if marks.nul {
            return Err(self.fault_of_frame(Reason::NameNul));
        }
        self.names.push(Name {
            start,
            end: self.out.len(),
        });
        self.out.push(0);
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// A value; its type goes to `kind_at`.
    fn value(&mut self, kind_at: usize) -> Result<Begun, Fault> {
        let first = self.peek();
        let is_one = matches!(
            first,
            Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I')
        );
        if !is_one {
            return Err(self.syntax());
        }
        self.values += 1;
        if self.values > self.limits.max_values {
            return Err(Fault::of_text(Reason::TooMany(self.limits.max_values)));
        }
        let kind = match first {
            Some(b'"') => self.string()?,
            Some(b'{') => self.open(true)?,
            Some(b'[') => self.open(false)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.literal()?,
        };
        self.out[kind_at] = kind;
        Ok(match kind {
            kind::DOCUMENT | kind::ARRAY => Begun::Opened,
            _ => Begun::Whole,
        })
    }

    fn open(&mut self, is_object: bool) -> Result<u8, Fault> {
        if self.frames.len() >= self.max_open {
            return Err(self.fault(Reason::TooDeep));
        }
        self.at += 1;
        self.frames.push(Frame {
            document: write::open(&mut self.out),
            is_object,
            count: 0,
            names: self.names.len(),
        });
        Ok(if is_object { kind::DOCUMENT } else { kind::ARRAY })
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let is_value = self.frames.len() > self.limits.envelope as usize;
        if let Some(frame) = self.frames.last()
            && frame.is_object
        {
            let names = &self.names[frame.names..];
            if is_doubled(&self.out, names, self.limits.seed) {
                return Err(self.fault_of_frame(Reason::NameTwice));
            }
            if is_value && hides_a_method(&self.out, names) {
                return Err(self.fault_of_frame(Reason::Reference));
            }
        }
        if let Some(frame) = self.frames.pop() {
            self.names.truncate(frame.names);
            write::close(&mut self.out, frame.document);
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<u8, Fault> {
        let rest = &self.bytes[self.at..];
        let (word, kind) = match rest.first() {
            Some(b't') => (&b"true"[..], kind::BOOLEAN),
            Some(b'f') => (&b"false"[..], kind::BOOLEAN),
            Some(b'n') => (&b"null"[..], kind::NULL),
            _ if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") => {
                return Err(Fault::of_text(Reason::Constant));
            }
            _ => return Err(self.syntax()),
        };
        if !rest.starts_with(word) {
            let same = word.iter().zip(rest).take_while(|(one, other)| one == other);
            self.at += same.count();
            return Err(self.syntax());
        }
        self.at += word.len();
        if kind == kind::BOOLEAN {
            self.out.push(u8::from(word == b"true"));
        }
        Ok(kind)
    }
}
