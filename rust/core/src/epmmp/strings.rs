//! An Avro array of strings (`include`, `endpointIds`): checked once, then read in place.

use crate::avro::{Block, Reader};
use crate::error::DecodeError;

/// A view over the blocks of an array of strings in the payload, all of them already checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strings<'a> {
    /// From the first block's count to the end of the last block's items, the closing zero left out.
    blocks: &'a [u8],
    count: usize,
}

impl<'a> Strings<'a> {
    /// Reads and checks the whole array; the reader is then behind it.
    ///
    /// # Errors
    /// Those of [`Reader::block`] and [`Reader::string`].
    #[inline]
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = *reader;
        let mut count = 0;
        loop {
            let end = reader.pos();
            match reader.block()? {
                Block::End => {
                    let blocks = start.rest().get(..end - start.pos()).unwrap_or_default();
                    return Ok(Self { blocks, count });
                }
                Block::Items(items) => {
                    for _ in 0..items {
                        reader.string()?;
                    }
                    count += items;
                }
            }
        }
    }

    /// Whether no string is given.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many strings are given, repeated ones counted each time.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// The strings in the order given.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        // Checked when the view was made.
        self.bytes()
            .map(|string| std::str::from_utf8(string).unwrap_or_default())
    }

    /// The strings as bytes, which saves checking again that they are UTF-8.
    #[inline]
    pub(crate) const fn bytes(&self) -> Names<'a> {
        Names {
            reader: Reader::new(self.blocks),
            left_in_block: 0,
        }
    }
}

/// Iterates over a [`Strings`].
#[derive(Clone, Debug)]
pub(crate) struct Names<'a> {
    reader: Reader<'a>,
    left_in_block: usize,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    // The blocks were checked when the view was made, so an error here is their end.
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left_in_block == 0 {
            match self.reader.block() {
                Ok(Block::Items(items)) => self.left_in_block = items,
                Ok(Block::End) | Err(_) => return None,
            }
        }
        self.left_in_block -= 1;
        self.reader.bytes().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    fn names(data: &[u8]) -> Vec<&str> {
        let include = Strings::read(&mut Reader::new(data)).expect("is well-formed");
        let names: Vec<_> = include.iter().collect();
        assert_eq!(include.len(), names.len());
        assert_eq!(include.is_empty(), names.is_empty());
        names
    }

    #[test]
    fn no_block_is_empty() {
        assert_eq!(names(&[0]), [""; 0]);
    }

    #[test]
    fn one_block() {
        assert_eq!(names(&[4, 2, b'a', 2, b'b', 0]), ["a", "b"]);
    }

    #[test]
    fn several_blocks_with_sizes_right_and_wrong() {
        assert_eq!(
            names(&[2, 2, b'a', 3, 4, 2, b'b', 2, b'c', 2, 0, 0]),
            ["a", "b", "c", ""]
        );
    }

    #[test]
    fn what_follows_is_left_to_the_reader() {
        let data = [2, 2, b'a', 0, 1];
        let mut reader = Reader::new(&data);
        Strings::read(&mut reader).expect("is well-formed");
        assert_eq!(reader.rest(), [1]);
    }

    #[test]
    fn errors_are_where_the_item_starts() {
        for (data, cause, offset) in [
            (&[2, 2, b'a'][..], Cause::Truncated, 3),
            (&[2, 6, b'a', 0], Cause::Truncated, 1),
            (&[200, 1, 0, 0], Cause::BlockCount, 0),
            (&[2, 2, b'a', 4, 0, 0], Cause::Truncated, 6),
            (&[2, 2, 0xc0, 0], Cause::Utf8, 1),
            (&[2, 1, 0], Cause::NegativeLength, 1),
        ] {
            let error = Strings::read(&mut Reader::new(data)).expect_err("must be refused");
            assert_eq!((error.cause, error.offset), (cause, offset), "{data:?}");
        }
    }
}
