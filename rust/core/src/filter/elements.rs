//! The elements of raw documents: names and values as bytes, and no more read of them than must be to find the next.
//!
//! MongoDB stores texts that are not UTF-8 and compares them by their bytes, so nothing here asks for more.

use crate::bson::Raw;
use crate::error::DocumentError;

/// Type codes (bsonspec.org).
pub(super) mod kind {
    pub(in crate::filter) const DOUBLE: u8 = 0x01;
    pub(in crate::filter) const STRING: u8 = 0x02;
    pub(in crate::filter) const DOCUMENT: u8 = 0x03;
    pub(in crate::filter) const ARRAY: u8 = 0x04;
    pub(in crate::filter) const BINARY: u8 = 0x05;
    pub(in crate::filter) const UNDEFINED: u8 = 0x06;
    pub(in crate::filter) const OBJECT_ID: u8 = 0x07;
    pub(in crate::filter) const BOOLEAN: u8 = 0x08;
    pub(in crate::filter) const DATE: u8 = 0x09;
    pub(in crate::filter) const NULL: u8 = 0x0A;
    pub(in crate::filter) const REGEX: u8 = 0x0B;
    pub(in crate::filter) const DB_POINTER: u8 = 0x0C;
    pub(in crate::filter) const CODE: u8 = 0x0D;
    pub(in crate::filter) const SYMBOL: u8 = 0x0E;
    pub(in crate::filter) const CODE_WITH_SCOPE: u8 = 0x0F;
    pub(in crate::filter) const INT32: u8 = 0x10;
    pub(in crate::filter) const TIMESTAMP: u8 = 0x11;
    pub(in crate::filter) const INT64: u8 = 0x12;
    pub(in crate::filter) const DECIMAL: u8 = 0x13;
    pub(in crate::filter) const MIN_KEY: u8 = 0xFF;
    pub(in crate::filter) const MAX_KEY: u8 = 0x7F;
}

/// One element of a document or array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// Its name; in an array the index as text.
    pub(super) name: &'a [u8],
    pub(super) value: Raw<'a>,
}

/// Iterates over the elements of a document or array; an error is the last item.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Of a document or array that takes all of `raw`.
    #[inline]
    pub(super) fn new(raw: &'a [u8]) -> Result<Self, DocumentError> {
        match raw {
            [a, b, c, d, rest @ .., 0] if u32::from_le_bytes([*a, *b, *c, *d]) as usize == raw.len() => {
                Ok(Self { rest })
            }
            _ => Err(DocumentError::Malformed),
        }
    }

    // Called, it would hand what it found over in memory, which costs more than finding it.
    #[inline(always)]
    fn read(&mut self) -> Result<Element<'a>, DocumentError> {
        let (&kind, rest) = std::mem::take(&mut self.rest)
            .split_first()
            .ok_or(DocumentError::Malformed)?;
        let end = end_of_name(rest).ok_or(DocumentError::Malformed)?;
        let (name, rest) = rest.split_at(end);
        let rest = &rest[1..];
        let length = length(kind, rest)?;
        let (bytes, rest) = rest.split_at_checked(length).ok_or(DocumentError::Malformed)?;
        self.rest = rest;
        let value = Raw { kind, bytes };
        Ok(Element { name, value })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, DocumentError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read())
    }
}

/// Where the first NUL is. Names are short, so that a call of memchr would cost more: eight bytes at a time.
#[inline]
fn end_of_name(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut offset = 0;
    while let Some(word) = bytes.get(offset..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        // The lowest high bit that is left is that of the first NUL (Mycroft's test).
        let nul = word.wrapping_sub(ONES) & !word & HIGH;
        if nul != 0 {
            return Some(offset + (nul.trailing_zeros() / 8) as usize);
        }
        offset += 8;
    }
    let rest = bytes.get(offset..)?;
    rest.iter().position(|&byte| byte == 0).map(|end| offset + end)
}

/// Whether two short texts are the same: eight bytes at a time, without a call.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks(), b.as_chunks());
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    a.len() == b.len()
        && a_words.iter().zip(b_words).all(|(a, b)| word(a) == word(b))
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

/// A little-endian length at the front.
#[inline]
pub(super) fn prefix(bytes: &[u8]) -> Result<usize, DocumentError> {
    let length = bytes.first_chunk().ok_or(DocumentError::Malformed)?;
    Ok(u32::from_le_bytes(*length) as usize)
}

/// Bytes that a value of type `kind` at the front of `rest` takes, if it is there whole.
#[inline(always)]
fn length(kind: u8, rest: &[u8]) -> Result<usize, DocumentError> {
    match kind {
        kind::STRING => Ok(prefix(rest)?.saturating_add(4)),
        kind::DOCUMENT | kind::ARRAY => prefix(rest),
        kind::INT32 => Ok(4),
        _ => length_of_other(kind, rest),
    }
}

/// That of a type that is less common.
fn length_of_other(kind: u8, rest: &[u8]) -> Result<usize, DocumentError> {
    Ok(match kind {
        kind::CODE | kind::SYMBOL => prefix(rest)?.saturating_add(4),
        kind::CODE_WITH_SCOPE => prefix(rest)?,
        kind::DOUBLE | kind::DATE | kind::TIMESTAMP | kind::INT64 => 8,
        kind::BOOLEAN => 1,
        kind::NULL | kind::UNDEFINED | kind::MIN_KEY | kind::MAX_KEY => 0,
        kind::OBJECT_ID => 12,
        kind::DECIMAL => 16,
        kind::BINARY => prefix(rest)?.saturating_add(5),
        kind::DB_POINTER => prefix(rest)?.saturating_add(16),
        kind::REGEX => {
            let pattern = end_of_text(rest)?;
            pattern + end_of_text(&rest[pattern..])?
        }
        _ => return Err(DocumentError::Malformed),
    })
}

/// Bytes of a text that a NUL ends, the NUL included.
fn end_of_text(bytes: &[u8]) -> Result<usize, DocumentError> {
    Ok(memchr::memchr(0, bytes).ok_or(DocumentError::Malformed)? + 1)
}

/// The content of a string, symbol or code: without its length and the NUL behind it.
#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&[u8], DocumentError> {
    match bytes {
        [_, _, _, _, text @ .., 0] => Ok(text),
        _ => Err(DocumentError::Malformed),
    }
}

/// Pattern and options of a regular expression.
pub(super) fn regex(bytes: &[u8]) -> Result<(&[u8], &[u8]), DocumentError> {
    let (pattern, options) = bytes.split_at(end_of_text(bytes)?);
    match (pattern, options) {
        ([pattern @ .., 0], [options @ .., 0]) => Ok((pattern, options)),
        _ => Err(DocumentError::Malformed),
    }
}

/// Text and scope (a whole document) of a code with scope.
pub(super) fn code_with_scope(bytes: &[u8]) -> Result<(&[u8], &[u8]), DocumentError> {
    let inner = bytes.get(4..).ok_or(DocumentError::Malformed)?;
    let length = prefix(inner)?.saturating_add(4);
    let (code, scope) = inner.split_at_checked(length).ok_or(DocumentError::Malformed)?;
    Ok((text(code)?, scope))
}

/// The first element of this name in a document or array, as MongoDB finds a field that is stored twice.
#[inline]
pub(super) fn find<'a>(document: &'a [u8], name: &[u8]) -> Result<Option<Raw<'a>>, DocumentError> {
    for element in Elements::new(document)? {
        let element = element?;
        if same(element.name, name) {
            return Ok(Some(element.value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bson::Document;

    /// Every type once, as the checked reader reads it too.
    fn every_type() -> Vec<u8> {
        let values: [(u8, &[u8]); 21] = [
            (kind::DOUBLE, &[0; 8]),
            (kind::STRING, &[2, 0, 0, 0, b'a', 0]),
            (kind::DOCUMENT, &[5, 0, 0, 0, 0]),
            (kind::ARRAY, &[5, 0, 0, 0, 0]),
            (kind::BINARY, &[1, 0, 0, 0, 0, 7]),
            (kind::UNDEFINED, &[]),
            (kind::OBJECT_ID, &[1; 12]),
            (kind::BOOLEAN, &[1]),
            (kind::DATE, &[0; 8]),
            (kind::NULL, &[]),
            (kind::REGEX, b"a\0i\0"),
            (
                kind::DB_POINTER,
                &[1, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
            ),
            (kind::CODE, &[1, 0, 0, 0, 0]),
            (kind::SYMBOL, &[1, 0, 0, 0, 0]),
            (
                kind::CODE_WITH_SCOPE,
                &[15, 0, 0, 0, 2, 0, 0, 0, b'f', 0, 5, 0, 0, 0, 0],
            ),
            (kind::INT32, &[0; 4]),
            (kind::TIMESTAMP, &[0; 8]),
            (kind::INT64, &[0; 8]),
            (kind::DECIMAL, &[0; 16]),
            (kind::MIN_KEY, &[]),
            (kind::MAX_KEY, &[]),
        ];
        let mut body = Vec::new();
        for (kind, value) in values {
            body.extend([kind, b'n', 0]);
            body.extend(value);
        }
        let length = u32::try_from(body.len() + 5).expect("is short");
        [&length.to_le_bytes()[..], &body, &[0]].concat()
    }

    #[test]
    fn every_type_is_as_long_as_the_checked_reader_finds_it() {
        let raw = every_type();
        let checked: Result<Vec<_>, _> = Document::new(&raw).expect("is framed").raw_elements().collect();
        let checked = checked.expect("is well-formed");
        let found: Result<Vec<_>, _> = Elements::new(&raw).expect("is framed").collect();
        let found: Vec<Raw<'_>> = found
            .expect("is well-formed")
            .iter()
            .map(|each| each.value)
            .collect();
        assert!(checked.iter().map(|(_, value)| *value).eq(found));
    }

    #[test]
    fn names_end_at_their_first_nul() {
        for length in 0..40 {
            for nul in 0..length {
                let mut bytes = vec![0x80; length];
                bytes[nul] = 0;
                assert_eq!(end_of_name(&bytes), Some(nul));
                bytes[nul..].fill(0);
                assert_eq!(end_of_name(&bytes), Some(nul));
            }
            assert_eq!(end_of_name(&vec![1; length]), None);
        }
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        let raw = every_type();
        for end in 0..raw.len() {
            assert!(Elements::new(&raw[..end]).is_err(), "{end}");
            let mut cut = raw[..end].to_vec();
            cut.push(0);
            let Some(length) = cut.first_chunk_mut() else {
                continue;
            };
            *length = u32::try_from(end + 1).expect("is short").to_le_bytes();
            // Either it ends between two elements, or the last one is an error.
            let items: Vec<_> = Elements::new(&cut).map(Iterator::collect).unwrap_or_default();
            assert!(items.iter().rev().skip(1).all(Result::is_ok));
        }
    }
}
