//! One BSON value, its type code already known (bsonspec.org, version 1.1).

use super::{Array, Document};
use crate::error::DocumentError;

/// A BSON value; strings are checked, the contents of documents and arrays are not.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// 0x01
    Double(f64),
    /// 0x02, and 0x0E (symbol, deprecated), which PyMongo gives as a string too.
    String(&'a str),
    /// 0x03
    Document(Document<'a>),
    /// 0x04
    Array(Array<'a>),
    /// 0x05; for subtype 2 without its inner length.
    Binary {
        /// What the bytes are.
        subtype: u8,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// 0x0A, and 0x06 (undefined, deprecated), which PyMongo gives as None too.
    Null,
    /// 0x07
    ObjectId([u8; 12]),
    /// 0x08
    Boolean(bool),
    /// 0x09: Unix milliseconds.
    DateTime(i64),
    /// 0x0B
    Regex {
        /// The expression.
        pattern: &'a str,
        /// Option letters, in any order.
        options: &'a str,
    },
    /// 0x0C (deprecated)
    DbPointer {
        /// The collection.
        collection: &'a str,
        /// The `_id` in it.
        id: [u8; 12],
    },
    /// 0x0D
    Code(&'a str),
    /// 0x0F (deprecated)
    CodeWithScope {
        /// The program text.
        code: &'a str,
        /// Its variables.
        scope: Document<'a>,
    },
    /// 0x10
    Int32(i32),
    /// 0x11
    Timestamp {
        /// Unix seconds.
        time: u32,
        /// Ordinal within the second.
        increment: u32,
    },
    /// 0x12
    Int64(i64),
    /// 0x13: IEEE 754-2008 decimal128 with a binary integer significand.
    Decimal128(u128),
    /// 0xFF
    MinKey,
    /// 0x7F
    MaxKey,
}

/// Takes bytes off the front of what remains of a document.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DocumentError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(DocumentError::Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], DocumentError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DocumentError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<usize, DocumentError> {
        usize::try_from(i32::from_le_bytes(self.take()?)).map_err(|_| DocumentError::Malformed)
    }

    /// The bytes of an embedded document or array, length prefix included.
    fn framed(&mut self) -> Result<&'a [u8], DocumentError> {
        let length = Input(self.0).length()?;
        self.slice(length)
    }

    /// A string with a length that counts the closing NUL; other NULs are content.
    fn string(&mut self) -> Result<&'a str, DocumentError> {
        let length = self.length()?;
        match self.slice(length)? {
            [text @ .., 0] => std::str::from_utf8(text).map_err(|_| DocumentError::Utf8),
            _ => Err(DocumentError::Malformed),
        }
    }

    /// A string that ends at the first NUL.
    fn cstring(&mut self) -> Result<&'a str, DocumentError> {
        let end = memchr::memchr(0, self.0).ok_or(DocumentError::Malformed)?;
        let text = self.slice(end)?;
        self.slice(1)?;
        std::str::from_utf8(text).map_err(|_| DocumentError::Utf8)
    }

    fn boolean(&mut self) -> Result<bool, DocumentError> {
        match self.take()? {
            [byte @ (0 | 1)] => Ok(byte == 1),
            _ => Err(DocumentError::Malformed),
        }
    }

    fn binary(&mut self) -> Result<Value<'a>, DocumentError> {
        let length = self.length()?;
        let [subtype] = self.take()?;
        let mut bytes = self.slice(length)?;
        if subtype == 2 {
            let mut inner = Input(bytes);
            if inner.length()? != inner.0.len() {
                return Err(DocumentError::Malformed);
            }
            bytes = inner.0;
        }
        Ok(Value::Binary { subtype, bytes })
    }

    fn code_with_scope(&mut self) -> Result<Value<'a>, DocumentError> {
        let mut inner = Input(self.framed()?);
        inner.length()?;
        let code = inner.string()?;
        let scope = Document::new(inner.0)?;
        Ok(Value::CodeWithScope { code, scope })
    }

    fn timestamp(&mut self) -> Result<Value<'a>, DocumentError> {
        let increment = u32::from_le_bytes(self.take()?);
        let time = u32::from_le_bytes(self.take()?);
        Ok(Value::Timestamp { time, increment })
    }
}

impl<'a> Value<'a> {
    /// Reads a value of type `kind` from the front of `input`; gives back what follows it.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] or [`DocumentError::Utf8`].
    pub fn read(kind: u8, input: &'a [u8]) -> Result<(Self, &'a [u8]), DocumentError> {
        let mut input = Input(input);
        let value = match kind {
            0x01 => Self::Double(f64::from_le_bytes(input.take()?)),
            0x02 | 0x0E => Self::String(input.string()?),
            0x03 => Self::Document(Document::new(input.framed()?)?),
            0x04 => Self::Array(Array::new(input.framed()?)?),
            0x05 => input.binary()?,
            0x06 | 0x0A => Self::Null,
            0x07 => Self::ObjectId(input.take()?),
            0x08 => Self::Boolean(input.boolean()?),
            0x09 => Self::DateTime(i64::from_le_bytes(input.take()?)),
            0x0B => Self::Regex {
                pattern: input.cstring()?,
                options: input.cstring()?,
            },
            0x0C => Self::DbPointer {
                collection: input.string()?,
                id: input.take()?,
            },
            0x0D => Self::Code(input.string()?),
            0x0F => input.code_with_scope()?,
            0x10 => Self::Int32(i32::from_le_bytes(input.take()?)),
            0x11 => input.timestamp()?,
            0x12 => Self::Int64(i64::from_le_bytes(input.take()?)),
            0x13 => Self::Decimal128(u128::from_le_bytes(input.take()?)),
            0xFF => Self::MinKey,
            0x7F => Self::MaxKey,
            _ => return Err(DocumentError::Malformed),
        };
        Ok((value, input.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed(kind: u8, input: &[u8]) {
        let error = Value::read(kind, input).expect_err("must be refused");
        assert_eq!(error, DocumentError::Malformed, "{kind:#x} {input:?}");
    }

    #[test]
    fn fixed_sizes_are_needed_whole() {
        for (kind, size) in [
            (0x01, 8),
            (0x07, 12),
            (0x08, 1),
            (0x09, 8),
            (0x10, 4),
            (0x11, 8),
            (0x12, 8),
            (0x13, 16),
        ] {
            assert!(Value::read(kind, &vec![0; size]).is_ok(), "{kind:#x}");
            malformed(kind, &vec![0; size - 1]);
        }
    }

    #[test]
    fn strings_keep_inner_nuls_and_need_their_last() {
        let (value, rest) = Value::read(0x02, &[3, 0, 0, 0, 0, b'a', 0, 9]).expect("is well-formed");
        assert!(matches!(value, Value::String("\0a")));
        assert_eq!(rest, [9]);
        malformed(0x02, &[0, 0, 0, 0, 0]);
        malformed(0x02, &[2, 0, 0, 0, b'a', b'b']);
        malformed(0x02, &[3, 0, 0, 0, b'a', 0]);
        malformed(0x02, &[0xff, 0xff, 0xff, 0xff, 0]);
        assert!(matches!(
            Value::read(0x02, &[2, 0, 0, 0, 0xff, 0]),
            Err(DocumentError::Utf8)
        ));
    }

    #[test]
    fn old_binaries_carry_a_second_length() {
        let (value, _) = Value::read(0x05, &[5, 0, 0, 0, 2, 1, 0, 0, 0, 7]).expect("is well-formed");
        assert!(matches!(
            value,
            Value::Binary {
                subtype: 2,
                bytes: [7]
            }
        ));
        malformed(0x05, &[5, 0, 0, 0, 2, 2, 0, 0, 0, 7]);
        malformed(0x05, &[3, 0, 0, 0, 2, 1, 0, 0, 0, 7]);
        malformed(0x05, &[2, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn code_with_scope_adds_up() {
        let raw = [15, 0, 0, 0, 2, 0, 0, 0, b'f', 0, 5, 0, 0, 0, 0];
        assert!(matches!(
            Value::read(0x0F, &raw),
            Ok((Value::CodeWithScope { code: "f", .. }, &[]))
        ));
        let mut wrong = raw;
        wrong[0] = 14;
        malformed(0x0F, &wrong);
        wrong = raw;
        wrong[10] = 4;
        malformed(0x0F, &wrong);
    }

    #[test]
    fn booleans_and_types_are_known_ones() {
        malformed(0x08, &[2]);
        malformed(0x00, &[0; 32]);
        malformed(0x14, &[0; 32]);
    }
}
