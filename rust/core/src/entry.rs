//! One endpoint in the cache: one allocation that holds all that answers need of it.
//!
//! The text of an entry, in this order; numbers are little-endian groups of 7 bits, one a byte, so that the
//! whole is UTF-8 and its parts are `&str` without being checked again on every answer:
//!
//! ```text
//! flags     1 byte: WIDE, HAS_APP_VERSION
//! etag_len  1 byte
//! id_len, app_version_len, fields       3 numbers of 2 bytes (5 if WIDE)
//! tags      a byte a field: a hash of its key that tells most other keys apart
//! starts    a number a field: where in the JSON its opening quote stands
//! id, app_version, etag, json
//! ```
//!
//! With a 36-byte id, 300 bytes of JSON in 10 fields, a 15-byte application version and a 4-byte eTag that is
//! 393 bytes: 57 beside id and JSON.

mod amend;
mod index;
mod stored;

pub use crate::bson::documents;
pub use amend::{Amendment, amended};
pub use stored::{FieldMapping, Stored, from_bson, id_of};

pub(crate) use stored::version;

pub(crate) use index::{Fields, key_text, starts_with_key, tag};

use crate::error::DocumentError;
use foldhash::quality::FixedState;
use index::{NARROW_BYTES, NARROW_MAX, WIDE_BYTES, number, put_number};
use std::fmt;
use std::hash::BuildHasher;
use std::ops::Range;

const WIDE: u8 = 1;
const HAS_APP_VERSION: u8 = 2;

/// Bytes before the first number.
const FIXED: usize = 2;
/// Numbers before the tags.
const NUMBERS: usize = 3;

/// Bytes that an allocation costs beside its content: glibc's chunk header, rounded up to 16 bytes.
const ALLOCATION_HEADER: usize = 8;
const ALLOCATION_UNIT: usize = 16;

/// An endpoint as it is cached. Cloned only where an answer has to wait for room in the output.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    text: Box<str>,
}

/// What an entry is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The endpoint ID.
    pub id: &'a str,
    /// The application version, if the endpoint has one.
    pub app_version: Option<&'a str>,
    /// The document's version, if it has one.
    pub version: Option<i64>,
    /// The metadata: a JSON object without spaces.
    pub json: &'a str,
    /// For every member of it, in order: the key, and where its opening quote stands in `json`.
    pub fields: &'a [(&'a str, usize)],
}

/// What is laid out beside the index.
#[derive(Clone, Copy)]
struct Texts<'a> {
    id: &'a str,
    app_version: Option<&'a str>,
    version: Option<i64>,
    json: &'a str,
}

impl Entry {
    /// Lays the parts out in one allocation of exactly their size.
    ///
    /// # Errors
    /// [`DocumentError::TooLarge`] if a length does not fit 32 bits.
    pub fn new(parts: &Parts<'_>) -> Result<Self, DocumentError> {
        let texts = Texts {
            id: parts.id,
            app_version: parts.app_version,
            version: parts.version,
            json: parts.json,
        };
        let fields = parts.fields.iter();
        Self::lay_out(&texts, fields.map(|&(key, start)| (tag(key.as_bytes()), start)))
    }

    /// The same, with a key's tag for each field instead of the key.
    fn lay_out(
        texts: &Texts<'_>,
        fields: impl ExactSizeIterator<Item = (u8, usize)> + Clone,
    ) -> Result<Self, DocumentError> {
        let app_version = texts.app_version.unwrap_or_default();
        let mut etag = String::new();
        if let Some(version) = texts.version {
            etag.push('"');
            etag.push_str(itoa::Buffer::new().format(version));
            etag.push('"');
        }
        let numbers = [texts.id.len(), app_version.len(), fields.len()];
        let largest = numbers.into_iter().chain([texts.json.len()]).max().unwrap_or(0);
        if u32::try_from(largest).is_err() {
            return Err(DocumentError::TooLarge);
        }
        let wide = largest > NARROW_MAX;
        let width = if wide { WIDE_BYTES } else { NARROW_BYTES };
        let index = FIXED + NUMBERS * width + fields.len() * (1 + width);
        let rest = [texts.id, app_version, &etag, texts.json];
        let size = index + rest.iter().map(|part| part.len()).sum::<usize>();

        let mut text = String::with_capacity(size);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        text.push(char::from(
            flag(wide, WIDE) | flag(texts.app_version.is_some(), HAS_APP_VERSION),
        ));
        text.push(char::from(etag.len() as u8));
        numbers
            .into_iter()
            .for_each(|number| put_number(&mut text, number, width));
        fields.clone().for_each(|(tag, _)| text.push(char::from(tag)));
        fields.for_each(|(_, start)| put_number(&mut text, start, width));
        rest.iter().for_each(|part| text.push_str(part));
        debug_assert_eq!(text.len(), size);
        Ok(Self {
            text: text.into_boxed_str(),
        })
    }

    /// The endpoint ID.
    #[inline]
    #[must_use]
    pub fn id(&self) -> &str {
        let layout = self.layout();
        self.part(layout.id..layout.app_version)
    }

    /// The metadata as compact JSON.
    #[inline]
    #[must_use]
    pub fn json(&self) -> &[u8] {
        self.part(self.layout().json..self.text.len()).as_bytes()
    }

    /// The application version, if the endpoint has one.
    #[inline]
    #[must_use]
    pub fn app_version(&self) -> Option<&str> {
        let layout = self.layout();
        let has = layout.flags & HAS_APP_VERSION != 0;
        has.then(|| self.part(layout.app_version..layout.etag))
    }

    /// The quoted version, quotes included; None when the document has no version.
    #[inline]
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        let layout = self.layout();
        let etag = self.part(layout.etag..layout.json);
        (!etag.is_empty()).then_some(etag)
    }

    /// The document's version.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.etag()?.trim_matches('"').parse().ok()
    }

    /// A hash of all that answers are made of.
    #[must_use]
    pub fn fingerprint(&self, seed: u64) -> u64 {
        FixedState::with_seed(seed).hash_one(&self.text)
    }

    /// Bytes on the heap, with an estimate of what the allocation itself costs.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        (self.text.len() + ALLOCATION_HEADER).next_multiple_of(ALLOCATION_UNIT)
    }

    /// The members of the JSON object.
    #[inline]
    pub(crate) fn fields(&self) -> Fields<'_> {
        let layout = self.layout();
        Fields {
            tags: self.part(layout.tags..layout.starts).as_bytes(),
            starts: self.part(layout.starts..layout.id).as_bytes(),
            width: layout.width,
            json: self.part(layout.json..self.text.len()).as_bytes(),
        }
    }

    #[inline]
    fn part(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    #[inline]
    fn layout(&self) -> Layout {
        let bytes = self.text.as_bytes();
        let byte = |at| bytes.get(at).copied().unwrap_or(0);
        let flags = byte(0);
        let width = if flags & WIDE == 0 {
            NARROW_BYTES
        } else {
            WIDE_BYTES
        };
        let number = |index| number(bytes, FIXED + index * width, width);
        let tags = FIXED + NUMBERS * width;
        let starts = tags + number(2);
        let id = starts + number(2) * width;
        let app_version = id + number(0);
        let etag = app_version + number(1);
        Layout {
            flags,
            width,
            tags,
            starts,
            id,
            app_version,
            etag,
            json: etag + usize::from(byte(1)),
        }
    }
}

/// Shows the id and sizes; metadata stays out of logs.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// Where the parts of an entry begin.
struct Layout {
    flags: u8,
    width: usize,
    tags: usize,
    starts: usize,
    id: usize,
    app_version: usize,
    etag: usize,
    json: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"a":1,"bc":"x"}"#;
    const PARTS: Parts<'_> = Parts {
        id: "endpoint-1",
        app_version: Some("app-v1"),
        version: Some(42),
        json: JSON,
        fields: &[("a", 1), ("bc", 7)],
    };

    #[test]
    fn parts_come_back() {
        let entry = Entry::new(&PARTS).expect("is small");
        assert_eq!(entry.id(), "endpoint-1");
        assert_eq!(entry.app_version(), Some("app-v1"));
        assert_eq!(entry.etag(), Some("\"42\""));
        assert_eq!(entry.version(), Some(42));
        assert_eq!(entry.json(), JSON.as_bytes());
    }

    #[test]
    fn absent_parts_are_none_and_empty_ones_are_not() {
        let entry = Entry::new(&Parts {
            app_version: None,
            version: None,
            ..PARTS
        })
        .expect("is small");
        assert_eq!(
            (entry.app_version(), entry.etag(), entry.version()),
            (None, None, None)
        );
        let entry = Entry::new(&Parts {
            app_version: Some(""),
            ..PARTS
        })
        .expect("is small");
        assert_eq!(entry.app_version(), Some(""));
    }

    #[test]
    fn versions_of_all_sizes() {
        for version in [0, -1, i64::MIN, i64::MAX] {
            let entry = Entry::new(&Parts {
                version: Some(version),
                ..PARTS
            })
            .expect("is small");
            assert_eq!(entry.version(), Some(version));
            assert_eq!(entry.etag(), Some(format!("\"{version}\"").as_str()));
        }
    }

    #[test]
    fn fields_are_where_they_were_said_to_be() {
        let entry = Entry::new(&PARTS).expect("is small");
        let fields = entry.fields();
        let text: Vec<_> = (0..fields.len())
            .map(|at| &JSON[fields.start(at)..fields.end(at)])
            .collect();
        assert_eq!(text, [r#""a":1"#, r#""bc":"x""#]);
        assert_eq!(fields.tags, [tag(b"a"), tag(b"bc")]);
    }

    #[test]
    fn large_parts_take_wide_numbers() {
        for length in [NARROW_MAX - 8, NARROW_MAX - 7, 3_000_000] {
            let json = format!(r#"{{"k":"{}"}}"#, "x".repeat(length));
            let id = "é".repeat(length / 2);
            let parts = Parts {
                id: &id,
                json: &json,
                fields: &[("k", 1)],
                ..PARTS
            };
            let entry = Entry::new(&parts).expect("fits 32 bits");
            assert_eq!(entry.id(), id);
            assert_eq!(entry.json(), json.as_bytes());
            assert_eq!(
                (entry.fields().start(0), entry.fields().end(0)),
                (1, json.len() - 1)
            );
        }
    }

    #[test]
    fn the_canonical_endpoint_takes_less_than_450_bytes() {
        let json = format!("{{{}}}", ["\"sensor_key_0\":\"value-123456\""; 10].join(","));
        let starts: Vec<_> = (0..10).map(|at| ("sensor_key_0", 1 + at * 30)).collect();
        let id = "123e4567-e89b-12d3-a456-426614174000";
        let parts = Parts {
            id,
            app_version: Some("smart-kettle-v1"),
            json: &json,
            fields: &starts,
            ..PARTS
        };
        let entry = Entry::new(&parts).expect("is small");
        assert!((295..=305).contains(&json.len()));
        assert!(entry.size() < 450, "{}", entry.size());
        assert!(entry.size() >= id.len() + json.len());
    }

    #[test]
    fn debug_text_holds_no_metadata() {
        let entry = Entry::new(&PARTS).expect("is small");
        let text = format!("{entry:?}");
        assert!(text.contains("endpoint-1") && !text.contains("bc"), "{text}");
    }
}
