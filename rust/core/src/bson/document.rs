//! Documents and arrays: framing and iteration.

use super::{RawElements, RawValues, Value};
use crate::error::DocumentError;
use crate::limits::MAX_DEPTH;

/// A raw document whose length and terminator fit.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The elements, without length and terminator.
    body: &'a [u8],
}

/// A raw array whose length and terminator fit; its keys are skipped unread, as PyMongo skips them.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    body: &'a [u8],
}

/// Takes length and terminator off `raw`.
pub(super) fn body(raw: &[u8]) -> Result<&[u8], DocumentError> {
    let (length, rest) = raw.split_first_chunk().ok_or(DocumentError::Malformed)?;
    let fits = usize::try_from(i32::from_le_bytes(*length)) == Ok(raw.len());
    match rest {
        [body @ .., 0] if fits => Ok(body),
        _ => Err(DocumentError::Malformed),
    }
}

/// Splits one element off `body`: type, key (without its NUL) and what follows.
pub(super) fn element(body: &[u8]) -> Result<(u8, &[u8], &[u8]), DocumentError> {
    let (&kind, rest) = body.split_first().ok_or(DocumentError::Malformed)?;
    let end = memchr::memchr(0, rest).ok_or(DocumentError::Malformed)?;
    Ok((kind, &rest[..end], &rest[end + 1..]))
}

impl<'a> Document<'a> {
    /// Bytes of the shortest document: a length and a terminator.
    pub const MIN_LEN: usize = 5;

    /// A document that takes all of `raw`.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if length or terminator are not those of `raw`.
    pub fn new(raw: &'a [u8]) -> Result<Self, DocumentError> {
        body(raw).map(|body| Self { body })
    }

    /// The elements in order; an error is the last item.
    #[must_use]
    pub const fn elements(&self) -> Elements<'a> {
        Elements { rest: self.body }
    }

    /// The elements in order, their values as bytes; an error is the last item.
    #[must_use]
    pub const fn raw_elements(&self) -> RawElements<'a> {
        RawElements { rest: self.body }
    }
}

impl<'a> Array<'a> {
    /// An array that takes all of `raw`.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if length or terminator are not those of `raw`.
    pub fn new(raw: &'a [u8]) -> Result<Self, DocumentError> {
        body(raw).map(|body| Self { body })
    }

    /// The values in order; an error is the last item.
    #[must_use]
    pub const fn values(&self) -> Values<'a> {
        Values { rest: self.body }
    }

    /// The values in order as bytes; an error is the last item.
    #[must_use]
    pub const fn raw_values(&self) -> RawValues<'a> {
        RawValues { rest: self.body }
    }
}

/// Iterates over keys and values of a [`Document`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    fn read(&mut self) -> Result<(&'a str, Value<'a>), DocumentError> {
        let (kind, key, rest) = element(std::mem::take(&mut self.rest))?;
        let key = std::str::from_utf8(key).map_err(|_| DocumentError::Utf8)?;
        let (value, rest) = Value::read(kind, rest)?;
        self.rest = rest;
        Ok((key, value))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(&'a str, Value<'a>), DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            None
        } else {
            Some(self.read())
        }
    }
}

/// Iterates over the values of an [`Array`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    fn read(&mut self) -> Result<Value<'a>, DocumentError> {
        let (kind, _, rest) = element(std::mem::take(&mut self.rest))?;
        let (value, rest) = Value::read(kind, rest)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Value<'a>, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            None
        } else {
            Some(self.read())
        }
    }
}

/// Reads through a value that is not wanted, so that a malformed one is found wherever it stands.
///
/// `level` is that of the document which the value is in (the stored document is level 1).
///
/// # Errors
/// As reading has them; [`DocumentError::TooDeep`] beyond [`MAX_DEPTH`].
pub fn check(value: &Value<'_>, level: u32) -> Result<(), DocumentError> {
    match value {
        Value::Document(inner) | Value::CodeWithScope { scope: inner, .. } => {
            let level = deeper(level)?;
            inner.elements().try_for_each(|element| check(&element?.1, level))
        }
        Value::Array(inner) => {
            let level = deeper(level)?;
            inner.values().try_for_each(|value| check(&value?, level))
        }
        _ => Ok(()),
    }
}

/// The level of a document, array or scope inside one at `level`.
///
/// # Errors
/// [`DocumentError::TooDeep`] beyond [`MAX_DEPTH`].
pub(crate) const fn deeper(level: u32) -> Result<u32, DocumentError> {
    if level < MAX_DEPTH {
        Ok(level + 1)
    } else {
        Err(DocumentError::TooDeep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(raw: &[u8]) -> Result<Vec<&str>, DocumentError> {
        Document::new(raw)?
            .elements()
            .map(|element| element.map(|(key, _)| key))
            .collect()
    }

    #[test]
    fn elements_are_read_in_order() {
        // {"a": null, "b": true}
        assert_eq!(
            keys(&[12, 0, 0, 0, 10, b'a', 0, 8, b'b', 0, 1, 0]),
            Ok(vec!["a", "b"])
        );
        assert_eq!(keys(&[5, 0, 0, 0, 0]), Ok(vec![]));
    }

    #[test]
    fn bad_frames_are_refused() {
        for raw in [
            &[][..],
            &[5, 0, 0, 0],
            &[4, 0, 0, 0],
            &[5, 0, 0, 0, 1],
            &[6, 0, 0, 0, 0],
            &[0xff; 5],
        ] {
            assert_eq!(keys(raw), Err(DocumentError::Malformed), "{raw:?}");
        }
    }

    #[test]
    fn bad_elements_are_refused() {
        let unterminated_key = [7, 0, 0, 0, 10, b'a', 0];
        assert_eq!(keys(&unterminated_key), Err(DocumentError::Malformed));
        let unknown_type = [8, 0, 0, 0, 0x14, b'a', 0, 0];
        assert_eq!(keys(&unknown_type), Err(DocumentError::Malformed));
        let key_not_utf8 = [8, 0, 0, 0, 10, 0xff, 0, 0];
        assert_eq!(keys(&key_not_utf8), Err(DocumentError::Utf8));
        let value_not_there = [8, 0, 0, 0, 8, b'a', 0, 0];
        assert_eq!(keys(&value_not_there), Err(DocumentError::Malformed));
    }

    #[test]
    fn array_keys_are_not_judged() {
        let raw = [8, 0, 0, 0, 10, 0xff, 0, 0];
        let values = Array::new(&raw).expect("is well-framed").values();
        assert_eq!(values.filter(Result::is_ok).count(), 1);
    }

    #[test]
    fn depth_is_bounded() {
        let mut raw = vec![5, 0, 0, 0, 0];
        for _ in 1..MAX_DEPTH {
            let length = (raw.len() + 8) as i32;
            raw = [&length.to_le_bytes()[..], &[3, b'a', 0], &raw, &[0]].concat();
        }
        let document = Document::new(&raw).expect("is well-framed");
        let outer = Value::Document(document);
        assert_eq!(check(&outer, 0), Ok(()));
        assert_eq!(check(&outer, 1), Err(DocumentError::TooDeep));
    }
}
