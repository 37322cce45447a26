//! Writing BSON: elements behind each other into one buffer, the lengths of documents filled in at their ends.

use super::Raw;

/// Type codes of what is written here (bsonspec.org).
pub mod kind {
    /// A 64-bit binary floating point number.
    pub const DOUBLE: u8 = 0x01;
    /// UTF-8 text.
    pub const STRING: u8 = 0x02;
    /// An embedded document.
    pub const DOCUMENT: u8 = 0x03;
    /// An array.
    pub const ARRAY: u8 = 0x04;
    /// Bytes.
    pub const BINARY: u8 = 0x05;
    /// True or false.
    pub const BOOLEAN: u8 = 0x08;
    /// Unix milliseconds.
    pub const DATETIME: u8 = 0x09;
    /// Null.
    pub const NULL: u8 = 0x0A;
    /// A 32-bit integer.
    pub const INT32: u8 = 0x10;
    /// A 64-bit integer.
    pub const INT64: u8 = 0x12;
}

/// A document or array that is being written: where its length stands. Inner ones end before outer ones.
#[must_use = "a document without its end is none"]
#[derive(Debug)]
pub struct Open(usize);

/// Begins a document or array.
pub fn open(out: &mut Vec<u8>) -> Open {
    let open = Open(out.len());
    out.extend_from_slice(&[0; 4]);
    open
}

/// Ends it. Callers bound what they write: nothing near 2 GiB, what a length can say, is ever made.
pub fn close(out: &mut Vec<u8>, open: Open) {
    out.push(0);
    let length = i32::try_from(out.len() - open.0).unwrap_or(i32::MAX);
    if let Some(place) = out.get_mut(open.0..open.0 + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// Begins an element; its value comes next. A name holds no NUL, which would end it.
#[inline]
pub fn put_name(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

/// Begins an element of an array.
#[inline]
pub fn put_index(out: &mut Vec<u8>, kind: u8, index: usize) {
    put_name(out, kind, itoa::Buffer::new().format(index));
}

/// The value of a string element.
#[inline]
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// A string element.
pub fn put_string(out: &mut Vec<u8>, name: &str, text: &str) {
    put_name(out, kind::STRING, name);
    put_text(out, text);
}

/// An int64 element.
pub fn put_int64(out: &mut Vec<u8>, name: &str, value: i64) {
    put_name(out, kind::INT64, name);
    out.extend_from_slice(&value.to_le_bytes());
}

/// An int32 element.
pub fn put_int32(out: &mut Vec<u8>, name: &str, value: i32) {
    put_name(out, kind::INT32, name);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A date element, in Unix milliseconds.
pub fn put_datetime(out: &mut Vec<u8>, name: &str, unix_ms: i64) {
    put_name(out, kind::DATETIME, name);
    out.extend_from_slice(&unix_ms.to_le_bytes());
}

/// A boolean element.
pub fn put_boolean(out: &mut Vec<u8>, name: &str, value: bool) {
    put_name(out, kind::BOOLEAN, name);
    out.push(value.into());
}

/// An element of bytes of the generic subtype.
pub fn put_binary(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    put_name(out, kind::BINARY, name);
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.push(0);
    out.extend_from_slice(bytes);
}

/// A null element.
pub fn put_null(out: &mut Vec<u8>, name: &str) {
    put_name(out, kind::NULL, name);
}

/// An element with a value of any type.
pub fn put_raw(out: &mut Vec<u8>, name: &str, value: Raw<'_>) {
    put_name(out, value.kind, name);
    out.extend_from_slice(value.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bson::{Document, Value};

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        let document = open(&mut out);
        put_string(&mut out, "s", "é");
        put_int32(&mut out, "i", -7);
        put_int64(&mut out, "l", 1 << 40);
        put_datetime(&mut out, "d", 5);
        put_boolean(&mut out, "b", true);
        put_null(&mut out, "n");
        put_name(&mut out, kind::ARRAY, "a");
        let array = open(&mut out);
        for index in 0..11 {
            put_index(&mut out, kind::NULL, index);
        }
        close(&mut out, array);
        close(&mut out, document);
        let elements: Result<Vec<_>, _> = Document::new(&out).expect("is framed").elements().collect();
        let elements = elements.expect("is well-formed");
        let names: Vec<&str> = elements.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["s", "i", "l", "d", "b", "n", "a"]);
        assert!(matches!(elements[0].1, Value::String("é")));
        assert!(matches!(elements[1].1, Value::Int32(-7)));
        assert!(matches!(elements[2].1, Value::Int64(length) if length == 1 << 40));
        assert!(matches!(elements[3].1, Value::DateTime(5)));
        assert!(matches!(elements[4].1, Value::Boolean(true)));
        assert!(matches!(elements[6].1, Value::Array(array) if array.values().count() == 11));
    }

    #[test]
    fn raw_values_are_copied_with_their_types() {
        let mut out = Vec::new();
        let document = open(&mut out);
        put_raw(
            &mut out,
            "x",
            Raw {
                kind: 0x0E,
                bytes: &[2, 0, 0, 0, b'a', 0],
            },
        );
        close(&mut out, document);
        assert_eq!(out, [14, 0, 0, 0, 0x0E, b'x', 0, 2, 0, 0, 0, b'a', 0, 0]);
        let raw: Vec<_> = Document::new(&out).expect("is framed").raw_elements().collect();
        assert!(matches!(
            raw[..],
            [Ok((
                "x",
                Raw {
                    kind: 0x0E,
                    bytes: [2, 0, 0, 0, b'a', 0]
                }
            ))]
        ));
    }
}
