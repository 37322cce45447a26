//! A value as the bytes it is stored as: copied without being read, so that every type comes out as it went in.

use super::Value;
use super::document::element;
use crate::error::DocumentError;

/// A borrowed BSON value: the type code, and the bytes behind the name of its element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// The type code (bsonspec.org): 0x02 for a string, and so on.
    pub kind: u8,
    /// All bytes of the value, and no others.
    pub bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The value, its contents read as far as [`Value::read`] does.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] or [`DocumentError::Utf8`].
    pub fn value(self) -> Result<Value<'a>, DocumentError> {
        match Value::read(self.kind, self.bytes)? {
            (value, []) => Ok(value),
            _ => Err(DocumentError::Malformed),
        }
    }
}

/// Splits a value of type `kind` off the front of `rest`.
fn split(kind: u8, rest: &[u8]) -> Result<(Raw<'_>, &[u8]), DocumentError> {
    let (_, after) = Value::read(kind, rest)?;
    let bytes = &rest[..rest.len() - after.len()];
    Ok((Raw { kind, bytes }, after))
}

/// Iterates over keys and raw values of a [`super::Document`].
#[derive(Clone, Debug)]
pub struct RawElements<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> RawElements<'a> {
    fn read(&mut self) -> Result<(&'a str, Raw<'a>), DocumentError> {
        let (kind, key, rest) = element(std::mem::take(&mut self.rest))?;
        let key = std::str::from_utf8(key).map_err(|_| DocumentError::Utf8)?;
        let (value, rest) = split(kind, rest)?;
        self.rest = rest;
        Ok((key, value))
    }
}

impl<'a> Iterator for RawElements<'a> {
    type Item = Result<(&'a str, Raw<'a>), DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read())
    }
}

/// Iterates over the raw values of a [`super::Array`].
#[derive(Clone, Debug)]
pub struct RawValues<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> RawValues<'a> {
    fn read(&mut self) -> Result<Raw<'a>, DocumentError> {
        let (kind, _, rest) = element(std::mem::take(&mut self.rest))?;
        let (value, rest) = split(kind, rest)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for RawValues<'a> {
    type Item = Result<Raw<'a>, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read())
    }
}
