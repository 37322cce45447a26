//! From a stored document to an entry. Documents of other writers are taken as far as they make sense.

use super::{Entry, Parts};
use crate::bson::{Document, Value, check, deeper};
use crate::error::DocumentError;
use crate::json::{Open, Printable, Printer};
use crate::limits::MAX_DOCUMENT;

/// Names of the top-level document fields; `FieldMapping` in `engine/api.py`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMapping {
    /// The endpoint ID, a string.
    pub id: Box<str>,
    /// The metadata: an array of `{key, value}`, or a plain sub-document.
    pub metadata: Box<str>,
    /// The application version, a string.
    pub application_version: Box<str>,
    /// The version, an integer.
    pub version: Box<str>,
    /// When the endpoint was deleted.
    pub deleted_at: Box<str>,
}

impl Default for FieldMapping {
    fn default() -> Self {
        Self {
            id: "_id".into(),
            metadata: "metadata".into(),
            application_version: "application_version".into(),
            version: "version".into(),
            deleted_at: "deleted_at".into(),
        }
    }
}

/// What a stored document is.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// An endpoint.
    Endpoint(Entry),
    /// The mark of a deleted one: unknown to every reader.
    Tombstone {
        /// Its version, if it has one.
        version: Option<i64>,
    },
}

/// Level of the stored document itself.
const TOP: u32 = 1;
/// Level of an element of the metadata array, which is itself level 2.
const PAIR: u32 = TOP + 2;

/// The fields of a document that matter here; of a repeated one the last counts, as in a Python dict, but of
/// the id the first, which is the one that MongoDB finds the document by.
#[derive(Default)]
struct Found<'a> {
    id: Option<Value<'a>>,
    metadata: Option<Value<'a>>,
    application_version: Option<Value<'a>>,
    version: Option<Value<'a>>,
    deleted_at: Option<Value<'a>>,
}

impl<'a> Found<'a> {
    fn read(document: &'a [u8], mapping: &FieldMapping) -> Result<Self, DocumentError> {
        if document.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLarge);
        }
        let mut found = Self::default();
        for element in Document::new(document)?.elements() {
            let (name, value) = element?;
            // Malformed is malformed wherever it is, as it is for PyMongo. Metadata is read anyway, later.
            let unread = if *name == *mapping.metadata {
                found.metadata
            } else {
                Some(value)
            };
            unread.map_or(Ok(()), |unread| check(&unread, TOP))?;
            found.take(name, value, mapping);
        }
        Ok(found)
    }

    fn take(&mut self, name: &str, value: Value<'a>, mapping: &FieldMapping) {
        if *mapping.id == *name && self.id.is_none() {
            self.id = Some(value);
        }
        for (wanted, place) in [
            (&mapping.metadata, &mut self.metadata),
            (&mapping.application_version, &mut self.application_version),
            (&mapping.version, &mut self.version),
            (&mapping.deleted_at, &mut self.deleted_at),
        ] {
            if **wanted == *name {
                *place = Some(value);
            }
        }
    }
}

/// The id of a document, as far as the document can be read.
///
/// Names the endpoint of a document that [`from_bson`] refuses.
#[must_use]
pub fn id_of<'a>(document: &'a [u8], mapping: &FieldMapping) -> Option<&'a str> {
    let elements = Document::new(document).ok()?.elements();
    match elements.map_while(Result::ok).find(|(name, _)| **name == *mapping.id)? {
        (_, Value::String(id)) => Some(id),
        _ => None,
    }
}

/// Makes an entry of a raw document.
///
/// Missing metadata is `{}`; of a repeated key the last value counts, at the place of the first. Null counts as
/// missing, fields that are not in `mapping` are only checked to be well-formed.
///
/// # Errors
/// Any [`DocumentError`]: the document is unusable.
pub fn from_bson(document: &[u8], mapping: &FieldMapping) -> Result<Stored, DocumentError> {
    let found = Found::read(document, mapping)?;
    let Some(Value::String(id)) = found.id else {
        return Err(DocumentError::Id);
    };
    if !matches!(found.deleted_at, None | Some(Value::Null)) {
        found.metadata.map_or(Ok(()), |metadata| check(&metadata, TOP))?;
        // Deleted is deleted, whatever the version looks like.
        let version = version(found.version).unwrap_or_default();
        return Ok(Stored::Tombstone { version });
    }
    let version = version(found.version)?;
    let app_version = match found.application_version {
        None | Some(Value::Null) => None,
        Some(Value::String(app_version)) => Some(app_version),
        Some(_) => return Err(DocumentError::ApplicationVersion),
    };
    // Most of a document is its metadata, and JSON is about as long as BSON.
    let mut printer = Printer::with_capacity(document.len());
    let open = printer.open();
    if !put_metadata(&mut printer, &open, found.metadata)? {
        return Err(DocumentError::Unprintable);
    }
    let fields: Vec<_> = printer
        .members(&open)
        .iter()
        .map(|member| (member.key, member.range.start))
        .collect();
    let parts = Parts {
        id,
        app_version,
        version,
        json: &printer.out,
        fields: &fields,
    };
    Entry::new(&parts).map(Stored::Endpoint)
}

/// Prints the members of the metadata into the object just opened, and closes it.
fn put_metadata<'a>(
    printer: &mut Printer<'a>,
    open: &Open,
    metadata: Option<Value<'a>>,
) -> Result<Printable, DocumentError> {
    match metadata {
        None | Some(Value::Null) => {}
        Some(Value::Array(metadata)) => {
            for pair in metadata.values() {
                let (key, value) = key_and_value(pair?)?;
                printer.member(open, key, &value, PAIR)?;
            }
        }
        Some(Value::Document(metadata)) => {
            let level = deeper(TOP)?;
            for element in metadata.elements() {
                let (key, value) = element?;
                printer.member(open, key, &value, level)?;
            }
        }
        Some(_) => return Err(DocumentError::Metadata),
    }
    // Its keys are the endpoint's, whatever they are called: never a DBRef.
    Ok(printer.close(open, false))
}

/// Reads one element of the metadata array: `{key: string, value: any}`, a missing value being null.
fn key_and_value(pair: Value<'_>) -> Result<(&str, Value<'_>), DocumentError> {
    let Value::Document(pair) = pair else {
        return Err(DocumentError::MetadataElement);
    };
    let (mut key, mut value) = (None, None);
    for element in pair.elements() {
        let (name, found) = element?;
        let unread = match name {
            "key" => key.replace(found),
            "value" => value.replace(found),
            _ => Some(found),
        };
        unread.map_or(Ok(()), |unread| check(&unread, PAIR))?;
    }
    match key {
        Some(Value::String(key)) => Ok((key, value.unwrap_or(Value::Null))),
        _ => Err(DocumentError::MetadataElement),
    }
}

fn version(value: Option<Value<'_>>) -> Result<Option<i64>, DocumentError> {
    /// 2^63, the first double beyond 64 bits.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int32(version)) => Ok(Some(version.into())),
        Some(Value::Int64(version)) => Ok(Some(version)),
        Some(Value::Double(version))
            if version.trunc() == version && (-BEYOND..BEYOND).contains(&version) =>
        {
            Ok(Some(version as i64))
        }
        Some(_) => Err(DocumentError::Version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let length = (body.len() + Document::MIN_LEN) as i32;
        [&length.to_le_bytes(), body, &[0]].concat()
    }

    fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
        [&[kind], name.as_bytes(), &[0], value].concat()
    }

    fn string(name: &str, text: &str) -> Vec<u8> {
        let length = (text.len() + 1) as i32;
        element(2, name, &[&length.to_le_bytes(), text.as_bytes(), &[0]].concat())
    }

    fn int32(name: &str, number: i32) -> Vec<u8> {
        element(0x10, name, &number.to_le_bytes())
    }

    fn null(name: &str) -> Vec<u8> {
        element(0x0A, name, &[])
    }

    /// `metadata` as an array of documents.
    fn pairs(pairs: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let body: Vec<u8> = pairs
            .iter()
            .flat_map(|pair| element(3, "0", &framed(&pair.concat())))
            .collect();
        element(4, "metadata", &framed(&body))
    }

    fn stored(elements: &[Vec<u8>]) -> Result<Stored, DocumentError> {
        let id = string("_id", "e1");
        from_bson(
            &framed(&[id, elements.concat()].concat()),
            &FieldMapping::default(),
        )
    }

    fn entry(elements: &[Vec<u8>]) -> Entry {
        match stored(elements) {
            Ok(Stored::Endpoint(entry)) => entry,
            other => panic!("not an endpoint: {other:?}"),
        }
    }

    fn json(elements: &[Vec<u8>]) -> String {
        String::from_utf8(entry(elements).json().to_vec()).expect("JSON is UTF-8")
    }

    #[test]
    fn our_own_documents() {
        let metadata = pairs(&[
            vec![string("key", "a"), int32("value", 1)],
            vec![string("key", "b\""), string("value", "x")],
        ]);
        let entry = entry(&[string("application_version", "v1"), int32("version", 7), metadata]);
        assert_eq!(
            (entry.id(), entry.app_version(), entry.etag()),
            ("e1", Some("v1"), Some("\"7\""))
        );
        assert_eq!(entry.json(), br#"{"a":1,"b\"":"x"}"#);
        assert_eq!(entry.fields().len(), 2);
    }

    #[test]
    fn what_is_missing_or_null_is_taken_as_absent() {
        for elements in [
            vec![],
            ["metadata", "version", "application_version", "deleted_at"]
                .map(null)
                .to_vec(),
        ] {
            let entry = entry(&elements);
            assert_eq!(
                (entry.json(), entry.etag(), entry.app_version()),
                (&b"{}"[..], None, None)
            );
        }
        assert_eq!(json(&[pairs(&[vec![string("key", "a")]])]), r#"{"a":null}"#);
    }

    #[test]
    fn metadata_may_be_a_plain_document() {
        let body = [int32("$id", 1), string("$ref", "c"), string("", "x")].concat();
        assert_eq!(
            json(&[element(3, "metadata", &framed(&body))]),
            r#"{"$id":1,"$ref":"c","":"x"}"#
        );
    }

    #[test]
    fn repeated_keys_have_their_last_value_at_their_first_place() {
        let pair = |key, value| vec![string("key", key), int32("value", value)];
        assert_eq!(
            json(&[pairs(&[pair("a", 1), pair("b", 2), pair("a", 3)])]),
            r#"{"a":3,"b":2}"#
        );
    }

    #[test]
    fn nested_documents_that_look_like_dbrefs_print_as_such() {
        let reference = [string("x", "y"), int32("$id", 1), string("$ref", "c")].concat();
        let metadata = pairs(&[vec![string("key", "a"), element(3, "value", &framed(&reference))]]);
        assert_eq!(json(&[metadata]), r#"{"a":{"$ref":"c","$id":1,"x":"y"}}"#);
        let unprintable = [int32("items", 1), int32("$id", 1), string("$ref", "c")].concat();
        let pair = |value| vec![string("key", "a"), value];
        let bad = pair(element(3, "value", &framed(&unprintable)));
        assert_eq!(
            stored(&[pairs(std::slice::from_ref(&bad))]),
            Err(DocumentError::Unprintable)
        );
        assert_eq!(
            json(&[pairs(&[bad, pair(int32("value", 1))])]),
            r#"{"a":1}"#,
            "replaced"
        );
    }

    #[test]
    fn versions_are_integers() {
        let double = |value: f64| element(1, "version", &value.to_le_bytes());
        assert_eq!(entry(&[double(7.0)]).version(), Some(7));
        assert_eq!(
            entry(&[element(0x12, "version", &i64::MIN.to_le_bytes())]).version(),
            Some(i64::MIN)
        );
        for bad in [
            double(7.5),
            double(f64::NAN),
            double(9.3e18),
            string("version", "7"),
        ] {
            assert_eq!(stored(&[bad]), Err(DocumentError::Version));
        }
    }

    #[test]
    fn deleted_endpoints_are_tombstones() {
        let deleted = element(9, "deleted_at", &[0; 8]);
        let tombstone = |version| Ok(Stored::Tombstone { version });
        assert_eq!(
            stored(&[deleted.clone(), int32("version", 3)]),
            tombstone(Some(3))
        );
        assert_eq!(
            stored(&[deleted.clone(), string("version", "x"), int32("metadata", 1)]),
            tombstone(None)
        );
        let malformed = element(3, "metadata", &framed(&[0x14, 0]));
        assert_eq!(stored(&[deleted, malformed]), Err(DocumentError::Malformed));
    }

    #[test]
    fn unusable_documents_name_the_part() {
        for (elements, error) in [
            (
                vec![int32("application_version", 1)],
                DocumentError::ApplicationVersion,
            ),
            (vec![int32("metadata", 1)], DocumentError::Metadata),
            (
                vec![pairs(&[vec![int32("key", 1)]])],
                DocumentError::MetadataElement,
            ),
            (vec![pairs(&[vec![]])], DocumentError::MetadataElement),
            (
                vec![element(4, "metadata", &framed(&null("0")))],
                DocumentError::MetadataElement,
            ),
            (
                vec![element(2, "extra", &[2, 0, 0, 0, 0xff, 0])],
                DocumentError::Utf8,
            ),
            (vec![element(0x14, "extra", &[])], DocumentError::Malformed),
        ] {
            assert_eq!(stored(&elements), Err(error));
        }
        let without_id = framed(&int32("version", 1));
        assert_eq!(
            from_bson(&without_id, &FieldMapping::default()),
            Err(DocumentError::Id)
        );
    }

    #[test]
    fn ids_are_found_as_far_as_the_document_can_be_read() {
        let mapping = FieldMapping {
            id: "endpoint".into(),
            ..FieldMapping::default()
        };
        let id = string("endpoint", "e1");
        let behind = framed(&[null("x"), id.clone(), element(0x14, "bad", &[])].concat());
        assert_eq!(id_of(&behind, &mapping), Some("e1"));
        assert_eq!(from_bson(&behind, &mapping), Err(DocumentError::Malformed));
        let before = framed(&[element(0x14, "bad", &[]), id].concat());
        assert_eq!(id_of(&before, &mapping), None);
        assert_eq!(id_of(&framed(&int32("endpoint", 1)), &mapping), None);
    }

    #[test]
    fn names_of_fields_are_a_setting() {
        let mapping = FieldMapping {
            id: "endpoint".into(),
            metadata: "data".into(),
            application_version: "app".into(),
            version: "rev".into(),
            deleted_at: "gone".into(),
        };
        let data = element(3, "data", &framed(&int32("a", 1)));
        let body = [
            string("endpoint", "e"),
            data,
            string("app", "v"),
            int32("rev", 2),
            null("gone"),
        ]
        .concat();
        match from_bson(&framed(&body), &mapping) {
            Ok(Stored::Endpoint(entry)) => {
                assert_eq!(
                    (entry.id(), entry.app_version(), entry.version()),
                    ("e", Some("v"), Some(2))
                );
                assert_eq!(entry.json(), br#"{"a":1}"#);
            }
            other => panic!("not an endpoint: {other:?}"),
        }
    }
}
