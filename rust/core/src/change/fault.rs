//! What is wrong with JSON that a client sent: a reason from one table, and where. Never a value.

use crate::limits::MAX_HARD_NUMBERS;
use std::fmt;

/// Why JSON text, or a value in it, is refused. What is told of each is the same in the pure engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing but blanks.
    Empty,
    /// The byte that does not belong to UTF-8 text.
    Utf8(usize),
    /// U+FEFF stands at the beginning.
    ByteOrderMark,
    /// The first byte that no JSON text has there.
    Syntax(usize),
    /// What is there could be continued to JSON.
    EndsEarly,
    /// Where something stands behind the value.
    Trailing(usize),
    /// `NaN`, `Infinity` or `-Infinity`, which many writers take for numbers.
    Constant,
    /// More arrays and objects are open than may be.
    TooDeep,
    /// More values than these.
    TooMany(u32),
    /// More than [`MAX_HARD_NUMBERS`] numbers whose doubles are costly to find.
    TooManyHard,
    /// Readers disagree on which of the two members counts.
    NameTwice,
    /// A number without fraction and exponent, beyond 64 bits.
    Integer,
    /// A number that would become infinite.
    Double,
    /// A string with an escaped surrogate that has no other half.
    Surrogate,
    /// The same in a name.
    NameSurrogate,
    /// U+0000 in a name, where BSON's names end.
    NameNul,
    /// An object with `$ref` and `$id` is read back as a reference, whose JSON form fails with these fields.
    Reference,
}

impl Reason {
    /// Whether the text is refused for its size, not for what it says.
    #[must_use]
    pub const fn is_too_large(self) -> bool {
        matches!(self, Self::TooMany(_) | Self::TooManyHard)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Empty => "empty, which is not JSON: for no value send null",
            Self::Utf8(at) => return write!(f, "not UTF-8 (byte {at})"),
            Self::ByteOrderMark => "not JSON: begins with a byte order mark",
            Self::Syntax(at) => return write!(f, "not JSON (byte {at})"),
            Self::EndsEarly => "not JSON: ends early",
            Self::Trailing(at) => return write!(f, "not JSON: more behind the value (byte {at})"),
            Self::Constant => "not JSON: NaN and Infinity have no JSON form",
            Self::TooDeep => "nested too deeply",
            Self::TooMany(most) => return write!(f, "more than {most} values"),
            Self::TooManyHard => {
                return write!(
                    f,
                    "more than {MAX_HARD_NUMBERS} numbers of 20 digits or more close to the middle of two doubles"
                );
            }
            Self::NameTwice => "an object has a name twice",
            Self::Integer => "the integer does not fit into 64 bits",
            Self::Double => "a number is beyond the range of a double",
            Self::Surrogate => "holds half a surrogate pair, which UTF-8 cannot",
            Self::NameSurrogate => "a name holds half a surrogate pair, which UTF-8 cannot",
            Self::NameNul => "a name holds a NUL character",
            Self::Reference => "a reference with items or __iter__ has no JSON form",
        };
        f.write_str(text)
    }
}

/// A reason and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub reason: Reason,
    /// Names and indexes that lead to a value from the outermost one, each behind a dot: `.a.0.b`. An index that comes
    /// first in an envelope is in brackets: `[0].value`. None: it is about the text.
    pub path: Option<String>,
}

impl Fault {
    /// A fault of the text.
    #[must_use]
    pub const fn of_text(reason: Reason) -> Self {
        Self { reason, path: None }
    }
}

/// Characters of a path that are kept: one more than the 120 that are shown, so that it is known that there were more,
/// and the dot in front.
const MAX_PATH: usize = 122;

/// Puts a path together, no more of it than is shown.
#[derive(Debug, Default)]
pub(crate) struct Path {
    text: String,
    characters: usize,
}

impl Path {
    /// Appends a name.
    pub(crate) fn name(&mut self, name: &str) {
        let left = MAX_PATH - self.characters;
        for character in ".".chars().chain(name.chars()).take(left) {
            self.text.push(character);
            self.characters += 1;
        }
    }

    /// Appends an index.
    pub(crate) fn index(&mut self, index: usize) {
        self.name(itoa::Buffer::new().format(index));
    }

    /// Begins with the index of something that stands in an array of an envelope.
    pub(crate) fn of_item(index: usize) -> Self {
        let text = format!("[{index}]");
        let characters = text.len();
        Self { text, characters }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
