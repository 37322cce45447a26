//! Reading hostile Avro: every length is compared with what remains before anything else is done with it.

use super::MAX_VARINT;
use crate::error::{Cause, DecodeError};

/// A cursor over one datum. After an error the position is unspecified; errors carry their own offset.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    pos: usize,
}

/// The head of one block of an array or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A count of zero: the array or map ends here.
    End,
    /// So many items follow; no more than bytes remain.
    Items(usize),
}

impl<'a> Reader<'a> {
    /// A reader at the first byte of `data`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0 }
    }

    /// How many bytes were read.
    #[inline]
    #[must_use]
    pub const fn pos(&self) -> usize {
        self.pos
    }

    /// The bytes not read yet.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.pos..).unwrap_or_default()
    }

    /// A `long`: a zigzag varint of at most 64 bits.
    ///
    /// # Errors
    /// [`Cause::Truncated`] or [`Cause::Varint`], at the varint's first byte.
    #[inline]
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        let raw = match self.data.get(self.pos) {
            // Most are lengths of short strings.
            Some(&byte) if byte < 0x80 => {
                self.pos += 1;
                u64::from(byte)
            }
            _ => self.long_varint()?,
        };
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut raw = 0;
        for (index, &byte) in self.rest().iter().take(MAX_VARINT).enumerate() {
            // The tenth byte holds the 64th bit alone: more bits, or a sign of an eleventh byte, do not fit.
            if index == MAX_VARINT - 1 && byte > 1 {
                return Err(self.error(Cause::Varint));
            }
            raw |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.pos += index + 1;
                return Ok(raw);
            }
        }
        Err(self.error(Cause::Truncated))
    }

    /// An `int`: a zigzag varint whose value fits 32 bits.
    ///
    /// # Errors
    /// As [`Reader::long`]; a value beyond 32 bits is [`Cause::Varint`].
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        let start = *self;
        i32::try_from(self.long()?).map_err(|_| start.error(Cause::Varint))
    }

    /// A `boolean`: one byte, 0 or 1.
    ///
    /// # Errors
    /// [`Cause::Truncated`] at the end, [`Cause::Trailing`] for any other byte.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.data.get(self.pos) {
            None => Err(self.error(Cause::Truncated)),
            Some(&byte @ (0 | 1)) => {
                self.pos += 1;
                Ok(byte == 1)
            }
            Some(_) => Err(self.error(Cause::Trailing)),
        }
    }

    /// A `bytes`.
    ///
    /// # Errors
    /// As [`Reader::long`]; [`Cause::NegativeLength`]; [`Cause::Truncated`] if the length exceeds what remains.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = *self;
        let length = self.long()?;
        if length < 0 {
            return Err(start.error(Cause::NegativeLength));
        }
        let rest = self.rest();
        let value = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let value = value.ok_or_else(|| start.error(Cause::Truncated))?;
        self.pos += value.len();
        Ok(value)
    }

    /// A `string`.
    ///
    /// # Errors
    /// As [`Reader::bytes`]; [`Cause::Utf8`].
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        let start = *self;
        std::str::from_utf8(self.bytes()?).map_err(|_| start.error(Cause::Utf8))
    }

    /// The head of a block of an array or map whose items take at least one byte each.
    ///
    /// A negative count is followed by the block's size in bytes, which must be a valid varint and is otherwise
    /// ignored, as Java's decoder does.
    ///
    /// # Errors
    /// As [`Reader::long`]; [`Cause::BlockCount`] at the count if more items are promised than bytes remain.
    #[inline]
    pub fn block(&mut self) -> Result<Block, DecodeError> {
        let start = *self;
        let count = self.long()?;
        if count == 0 {
            return Ok(Block::End);
        }
        if count == i64::MIN {
            return Err(start.error(Cause::BlockCount));
        }
        if count < 0 {
            self.long()?;
        }
        match usize::try_from(count.unsigned_abs()) {
            Ok(items) if items <= self.rest().len() => Ok(Block::Items(items)),
            _ => Err(start.error(Cause::BlockCount)),
        }
    }

    /// An error at the current position.
    #[inline]
    #[must_use]
    pub const fn error(&self, cause: Cause) -> DecodeError {
        DecodeError {
            cause,
            offset: self.pos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails<'a, T: std::fmt::Debug>(
        data: &'a [u8],
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> (Cause, usize) {
        let error = read(&mut Reader::new(data)).expect_err("must be refused");
        (error.cause, error.offset)
    }

    #[test]
    fn longs_of_every_length() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x80, 0x01], 64),
            (&[0x80, 0x00], 0),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                i64::MIN,
            ),
            (
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                i64::MAX,
            ),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.long(), Ok(value));
            assert_eq!(reader.pos(), bytes.len());
        }
    }

    #[test]
    fn varints_that_end_early_or_overflow() {
        assert_eq!(fails(&[], Reader::long), (Cause::Truncated, 0));
        assert_eq!(fails(&[0x80; 9], Reader::long), (Cause::Truncated, 0));
        assert_eq!(fails(&[0x80; 10], Reader::long), (Cause::Varint, 0));
        let mut bits_past_64 = [0x80; 10];
        bits_past_64[9] = 2;
        assert_eq!(fails(&bits_past_64, Reader::long), (Cause::Varint, 0));
        assert_eq!(
            fails(&[0x80, 0x80, 0x80, 0x80, 0x10], Reader::int),
            (Cause::Varint, 0)
        );
    }

    #[test]
    fn strings_are_checked_before_they_are_touched() {
        assert_eq!(Reader::new(&[0x04, b'h', b'i']).string(), Ok("hi"));
        assert_eq!(fails(&[0x06, b'h', b'i'], Reader::string), (Cause::Truncated, 0));
        assert_eq!(fails(&[0x01], Reader::string), (Cause::NegativeLength, 0));
        assert_eq!(fails(&[0x02, 0xff], Reader::string), (Cause::Utf8, 0));
        // i64::MAX bytes are promised.
        let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fails(&huge, Reader::bytes), (Cause::Truncated, 0));
    }

    #[test]
    fn blocks_promise_no_more_than_remains() {
        assert_eq!(Reader::new(&[0x00]).block(), Ok(Block::End));
        assert_eq!(Reader::new(&[0x04, 0, 0]).block(), Ok(Block::Items(2)));
        assert_eq!(Reader::new(&[0x03, 0x7f, 0, 0]).block(), Ok(Block::Items(2)));
        assert_eq!(fails(&[0x06, 0, 0], Reader::block), (Cause::BlockCount, 0));
        assert_eq!(fails(&[0x03, 0x04, 0], Reader::block), (Cause::BlockCount, 0));
        assert_eq!(fails(&[0x03], Reader::block), (Cause::Truncated, 1));
        let minimum = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fails(&minimum, Reader::block), (Cause::BlockCount, 0));
    }

    #[test]
    fn booleans_are_one_byte() {
        assert_eq!(Reader::new(&[1]).boolean(), Ok(true));
        assert_eq!(fails(&[], Reader::boolean), (Cause::Truncated, 0));
        assert_eq!(fails(&[2], Reader::boolean), (Cause::Trailing, 0));
    }
}
