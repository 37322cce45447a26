//! Conditions on the fields of one element of an array, as `$elemMatch` has them, and a shortcut for most elements.

use super::elements::{kind, same};
use super::node::Node;

/// Conditions on the fields of an element.
#[derive(Debug)]
pub(super) struct ElementTest {
    /// One of the conditions, if there is one of this kind.
    pub(super) text: Option<TextField>,
    /// The others.
    pub(super) others: Node,
}

/// A field that must be equal to a text, as the key of metadata.
///
/// Most elements have that field first, and are told apart by their first bytes.
#[derive(Debug)]
pub(super) struct TextField {
    pub(super) condition: Node,
    /// The element that is asked for as it stands in a document: type, name, text.
    wanted: Box<[u8]>,
    /// How many of its bytes are type and name.
    head: usize,
    /// Its first bytes in one number: most elements differ in them, if only in the length of their text.
    start: u64,
}

/// Bytes of a number that several are compared as.
const WORD: usize = size_of::<u64>();

impl TextField {
    /// `condition` asks for the string `text` (with its length and NUL) in the field `name`.
    pub(super) fn new(condition: Node, name: &[u8], text: &[u8]) -> Self {
        let head = [&[kind::STRING], name, &[0]].concat();
        let wanted: Box<[u8]> = [&head, text].concat().into();
        Self {
            condition,
            head: head.len(),
            // A type, a NUL, a length of four bytes, its NUL, and the name: eight with any name but an empty one.
            start: word(&wanted).unwrap_or_default(),
            wanted,
        }
    }

    /// The verdict on an element (length prefix included) with a string in this field, if that field comes first.
    #[inline]
    pub(super) fn at_front(&self, element: &[u8]) -> Option<bool> {
        let fields = element.get(4..)?;
        if word(fields) == Some(self.start) && begins_with(fields, &self.wanted) {
            Some(true)
        } else {
            begins_with(fields, &self.wanted[..self.head]).then_some(false)
        }
    }
}

#[inline]
fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<WORD>().map(|word| u64::from_le_bytes(*word))
}

#[inline]
fn begins_with(bytes: &[u8], start: &[u8]) -> bool {
    bytes.get(..start.len()).is_some_and(|bytes| same(bytes, start))
}
