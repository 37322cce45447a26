//! Splitting a batch of concatenated documents, as the driver hands it over.

use super::Document;
use crate::error::DocumentError;

/// The documents of a batch, one behind the other, told apart by their length prefixes.
///
/// Only lengths are judged here, so that one bad document fails alone: an impossible length is an error, and
/// the last item, since what follows cannot be found.
#[must_use]
pub const fn documents(batch: &[u8]) -> Documents<'_> {
    Documents { rest: batch }
}

/// Iterates over the raw documents of a batch; see [`documents`].
#[derive(Clone, Debug)]
pub struct Documents<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.rest.first_chunk().and_then(|length| {
            let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
            if length < Document::MIN_LEN {
                None
            } else {
                self.rest.split_at_checked(length)
            }
        });
        let Some((document, rest)) = split else {
            self.rest = &[];
            return Some(Err(DocumentError::Malformed));
        };
        self.rest = rest;
        Some(Ok(document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

    fn split(batch: &[u8]) -> Vec<Result<usize, DocumentError>> {
        documents(batch)
            .map(|document| document.map(<[u8]>::len))
            .collect()
    }

    #[test]
    fn batches_are_split_by_length() {
        assert_eq!(split(&[]), []);
        assert_eq!(split(&[EMPTY, EMPTY].concat()), [Ok(5), Ok(5)]);
        assert_eq!(split(&[6, 0, 0, 0, 9, 9]), [Ok(6)], "content is judged later");
    }

    #[test]
    fn impossible_lengths_end_the_batch() {
        for bad in [&[4, 0, 0, 0, 0][..], &[6, 0, 0, 0, 0], &[5, 0, 0], &[0xff; 8]] {
            assert_eq!(
                split(&[&EMPTY, bad].concat()),
                [Ok(5), Err(DocumentError::Malformed)],
                "{bad:?}"
            );
        }
    }
}
