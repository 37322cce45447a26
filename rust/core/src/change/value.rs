//! A value on its way into the store, as the bytes that it will be stored as.

use crate::bson::{Raw, Value, write};
use crate::error::DocumentError;

/// One owned BSON value. Nothing in it was read when it was made, but who makes one knows that it is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    kind: u8,
    bytes: Box<[u8]>,
}

impl RawValue {
    /// A value of type `kind` (bsonspec.org) that takes all of `bytes`.
    #[must_use]
    pub fn new(kind: u8, bytes: impl Into<Box<[u8]>>) -> Self {
        Self {
            kind,
            bytes: bytes.into(),
        }
    }

    /// JSON null.
    #[must_use]
    pub fn null() -> Self {
        Self::new(write::kind::NULL, [])
    }

    /// A string.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 5);
        write::put_text(&mut bytes, text);
        Self::new(write::kind::STRING, bytes)
    }

    /// The type code.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// What stands behind the name in an element.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// The same, borrowed.
    #[must_use]
    pub const fn as_raw(&self) -> Raw<'_> {
        Raw {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }

    /// The value to be looked into.
    ///
    /// # Errors
    /// As [`Raw::value`]; never for what was parsed or read from a document.
    pub fn value(&self) -> Result<Value<'_>, DocumentError> {
        self.as_raw().value()
    }

    /// Appends it as an element of a document.
    pub fn append_to(&self, name: &str, out: &mut Vec<u8>) {
        write::put_raw(out, name, self.as_raw());
    }
}

impl From<Raw<'_>> for RawValue {
    fn from(raw: Raw<'_>) -> Self {
        Self::new(raw.kind, raw.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were_made_of() {
        let text = RawValue::string("a\0é");
        assert!(matches!(text.value(), Ok(Value::String("a\0é"))));
        assert_eq!(RawValue::from(text.as_raw()), text);
        assert!(matches!(RawValue::null().value(), Ok(Value::Null)));
        let mut out = Vec::new();
        text.append_to("n", &mut out);
        assert_eq!(out, [&[2, b'n', 0, 5, 0, 0, 0][..], "a\0é\0".as_bytes()].concat());
        let longer = RawValue::new(0x08, [1, 1]);
        assert_eq!(longer.value().err(), Some(DocumentError::Malformed));
    }
}
