//! Telling the elements of a document apart where some of them cannot be read.

use super::Raw;
use crate::error::DocumentError;

/// One element, judged only as far as it takes to find its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Perhaps not UTF-8.
    pub name: &'a [u8],
    /// Perhaps malformed inside.
    pub value: Raw<'a>,
}

/// The elements of `document`, in order; an error is the last item, since what follows cannot be found.
///
/// # Errors
/// [`DocumentError::Malformed`] if length or terminator are not those of `document`.
pub fn frames(document: &[u8]) -> Result<Frames<'_>, DocumentError> {
    let body = super::document::body(document)?;
    Ok(Frames { rest: body })
}

/// Iterates over [`Framed`] elements; see [`frames`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Framed<'a>, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let framed = super::document::element(rest)
            .ok()
            .and_then(|(kind, name, rest)| {
                let (bytes, rest) = rest.split_at_checked(extent(kind, rest)?)?;
                let value = Raw { kind, bytes };
                Some((Framed { name, value }, rest))
            });
        let Some((framed, rest)) = framed else {
            return Some(Err(DocumentError::Malformed));
        };
        self.rest = rest;
        Some(Ok(framed))
    }
}

/// Bytes of the value of type `kind` that begins at `input`; None where that cannot be told, or is too much.
fn extent(kind: u8, input: &[u8]) -> Option<usize> {
    match kind {
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x08 => Some(1),
        0x10 => Some(4),
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        0x02 | 0x0D | 0x0E => text(input),
        0x03 | 0x04 => framed(input, 5),
        0x05 => length(input, 0).map(|length| length + 5),
        0x0B => {
            let pattern = cstring(input)?;
            Some(pattern + cstring(input.get(pattern..)?)?)
        }
        0x0C => text(input).map(|length| length + 12),
        0x0F => length(input, 14),
        _ => None,
    }
}

/// A length of at least `least`.
fn length(input: &[u8], least: usize) -> Option<usize> {
    let length = usize::try_from(i32::from_le_bytes(*input.first_chunk()?)).ok()?;
    (length >= least).then_some(length)
}

/// What counts its own length, and ends with a NUL.
fn framed(input: &[u8], least: usize) -> Option<usize> {
    let length = length(input, least)?;
    (*input.get(length - 1)? == 0).then_some(length)
}

/// A text that counts itself and its NUL.
fn text(input: &[u8]) -> Option<usize> {
    let length = length(input, 1)? + 4;
    (*input.get(length - 1)? == 0).then_some(length)
}

fn cstring(input: &[u8]) -> Option<usize> {
    memchr::memchr(0, input).map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bson::Document;

    #[test]
    fn what_cannot_be_read_does_not_hide_what_follows() {
        // {"a": "\xff", "\xff": null, "b": true}
        let raw = [
            &[26, 0, 0, 0][..],
            &[2, b'a', 0, 2, 0, 0, 0, 0xff, 0],
            &[10, 0xff, 0, 16, b'b', 0, 1, 2, 3, 4, 0, 0],
        ]
        .concat();
        let raw = [&(raw.len() as i32 - 1).to_le_bytes()[..], &raw[4..raw.len() - 1]].concat();
        let names: Vec<_> = frames(&raw)
            .expect("is framed")
            .map(|framed| framed.map(|framed| framed.name.to_vec()))
            .collect();
        assert_eq!(names, [Ok(b"a".to_vec()), Ok(vec![0xff]), Ok(b"b".to_vec())]);
        assert!(
            Document::new(&raw)
                .expect("is framed")
                .raw_elements()
                .any(|each| each.is_err())
        );
    }

    #[test]
    fn ends_that_cannot_be_found_are_the_end() {
        for value in [
            &[0x14, b'a', 0][..],
            &[2, b'a', 0, 9, 0, 0, 0, 0],
            &[2, b'a', 0, 1, 0, 0, 0, 7],
            &[3, b'a', 0, 4, 0, 0, 0, 0],
            &[5, b'a', 0, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x0B, b'a', 0, b'x'],
            &[0x12, b'a', 0, 1],
            &[0x0F, b'a', 0, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let length = (value.len() + 5) as i32;
            let raw = [&length.to_le_bytes()[..], value, &[0]].concat();
            let found: Vec<_> = frames(&raw).expect("is framed").collect();
            assert_eq!(found, [Err(DocumentError::Malformed)], "{value:?}");
        }
        assert!(frames(&[5, 0, 0, 0, 1]).is_err());
    }
}
