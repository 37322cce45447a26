//! Where a condition looks: the elements of a document that a path names, arrays on the way looked into.
//!
//! An array on the way is read in two ways: each document in it is entered, and a part of the path that is a number
//! also names the element of that name. An array in an array is entered by number only. At the end of the path,
//! arrays count by element and as a whole, or as a whole only.

use super::elements::{Elements, find, kind};
use crate::bson::Raw;
use crate::error::DocumentError;

/// A path that was taken apart at its dots. No part is empty.
#[derive(Debug)]
pub(super) struct Path {
    parts: Box<[Part]>,
}

#[derive(Debug)]
struct Part {
    name: Box<[u8]>,
    /// Whether it may name an element of an array.
    number: bool,
}

/// What happens to an array at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Its elements are looked at, then the array itself.
    Elements,
    /// Only the array itself is looked at.
    Whole,
}

/// Looks at one value after the other, and may be told which way through the document led to them.
pub(super) trait Look<'a> {
    /// Looks at a value, or at the absence of one; whether it is what was looked for.
    fn look(&mut self, value: Option<Raw<'a>>) -> Result<bool, DocumentError>;

    /// The way goes on to the element `name`.
    #[inline]
    fn enter(&mut self, name: &[u8]) {
        let _ = name;
    }

    /// The way goes back from the element that was entered last: nothing was found there.
    #[inline]
    fn leave(&mut self) {}
}

impl Path {
    /// Takes a path apart; None if a part of it is empty.
    pub(super) fn new(text: &str) -> Option<Self> {
        let part = |name: &str| {
            (!name.is_empty()).then(|| Part {
                name: name.as_bytes().into(),
                number: name.bytes().all(|byte| byte.is_ascii_digit()),
            })
        };
        let parts: Option<Box<[Part]>> = text.split('.').map(part).collect();
        parts.map(|parts| Self { parts })
    }

    /// The names on it.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.parts.iter().map(|part| &*part.name)
    }

    /// The only name on it, if it has one.
    pub(super) fn only_name(&self) -> Option<&[u8]> {
        match &*self.parts {
            [part] => Some(&part.name),
            _ => None,
        }
    }

    /// How many of its parts may name elements of arrays. Each doubles the ways in which it can be read.
    pub(super) fn numbers(&self) -> usize {
        self.parts.iter().filter(|part| part.number).count()
    }

    /// Looks at what it names in `document`, one after the other, until a look says yes.
    #[inline]
    pub(super) fn visit<'a>(
        &self,
        document: &'a [u8],
        leaf: Leaf,
        look: &mut impl Look<'a>,
    ) -> Result<bool, DocumentError> {
        in_document(document, &self.parts, leaf, look)
    }
}

/// Calls `inside` between entering and leaving `name`, which stays entered if something was found.
#[inline]
fn along<'a, L: Look<'a>>(
    name: &[u8],
    look: &mut L,
    inside: impl FnOnce(&mut L) -> Result<bool, DocumentError>,
) -> Result<bool, DocumentError> {
    look.enter(name);
    let found = inside(look)?;
    if !found {
        look.leave();
    }
    Ok(found)
}

/// Goes one level down for each part of the path, so no deeper than the path is long.
fn in_document<'a, L: Look<'a>>(
    document: &'a [u8],
    parts: &[Part],
    leaf: Leaf,
    look: &mut L,
) -> Result<bool, DocumentError> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(false);
    };
    let Some(value) = find(document, &part.name)? else {
        return look.look(None);
    };
    match value.kind {
        kind::ARRAY => along(&part.name, look, |look| in_array(value, rest, leaf, look)),
        _ if rest.is_empty() => along(&part.name, look, |look| look.look(Some(value))),
        kind::DOCUMENT => along(&part.name, look, |look| {
            in_document(value.bytes, rest, leaf, look)
        }),
        _ => look.look(None),
    }
}

fn in_array<'a, L: Look<'a>>(
    array: Raw<'a>,
    parts: &[Part],
    leaf: Leaf,
    look: &mut L,
) -> Result<bool, DocumentError> {
    let Some((part, rest)) = parts.split_first() else {
        return at_leaf(array, leaf, look);
    };
    for element in Elements::new(array.bytes)? {
        let element = element?;
        let (name, value) = (element.name, element.value);
        if value.kind == kind::DOCUMENT
            && along(name, look, |look| in_document(value.bytes, parts, leaf, look))?
        {
            return Ok(true);
        }
        if part.number && *part.name == *name && along(name, look, |look| by_number(value, rest, leaf, look))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks at an element of an array that the path named by its number.
fn by_number<'a, L: Look<'a>>(
    value: Raw<'a>,
    rest: &[Part],
    leaf: Leaf,
    look: &mut L,
) -> Result<bool, DocumentError> {
    match value.kind {
        // As a whole: only an array that a name led to is taken apart.
        _ if rest.is_empty() => look.look(Some(value)),
        kind::DOCUMENT => in_document(value.bytes, rest, leaf, look),
        kind::ARRAY => in_array(value, rest, leaf, look),
        _ => Ok(false),
    }
}

fn at_leaf<'a, L: Look<'a>>(array: Raw<'a>, leaf: Leaf, look: &mut L) -> Result<bool, DocumentError> {
    if leaf == Leaf::Elements {
        for element in Elements::new(array.bytes)? {
            let element = element?;
            if along(element.name, look, |look| look.look(Some(element.value)))? {
                return Ok(true);
            }
        }
    }
    look.look(Some(array))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what it looks at, and finds nothing.
    struct Counting(usize);

    impl<'a> Look<'a> for Counting {
        fn look(&mut self, _: Option<Raw<'a>>) -> Result<bool, DocumentError> {
            self.0 += 1;
            Ok(false)
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 5).expect("is short");
        [&length.to_le_bytes()[..], body, &[0]].concat()
    }

    /// Documents and arrays by turns, `levels` of each, every element named 0.
    fn nested(levels: usize) -> Vec<u8> {
        let mut inner = framed(&[]);
        for _ in 0..levels {
            let array = framed(&[&[kind::DOCUMENT, b'0', 0], &inner[..]].concat());
            inner = framed(&[&[kind::ARRAY, b'0', 0], &array[..]].concat());
        }
        inner
    }

    #[test]
    fn each_number_doubles_the_ways_and_no_more() {
        let looks = |numbers: usize| {
            let path = Path::new(&vec!["0"; numbers].join(".")).expect("has no empty part");
            assert_eq!(path.numbers(), numbers);
            let mut look = Counting(0);
            let found = path.visit(&nested(40), Leaf::Whole, &mut look);
            assert_eq!(found, Ok(false));
            look.0
        };
        for numbers in 1..=crate::limits::MAX_FILTER_NUMBERS {
            assert!(looks(numbers) <= 1 << numbers, "{numbers}");
        }
        assert!(
            looks(12) > 100,
            "the document is one for which the number of ways grows"
        );
    }

    #[test]
    fn names_are_split_at_dots() {
        let path = Path::new("metadata.0.00a").expect("has no empty part");
        assert_eq!(path.names().collect::<Vec<_>>(), [&b"metadata"[..], b"0", b"00a"]);
        assert_eq!(path.numbers(), 1);
        for empty in ["", ".", "a.", ".a", "a..b"] {
            assert!(Path::new(empty).is_none(), "{empty}");
        }
    }
}
