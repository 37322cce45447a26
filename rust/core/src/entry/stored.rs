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
    match elements
        .map_while(Result::ok)
        .find(|(name, _)| **name == *mapping.id)?
    {
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

/// The version, if there is one.
pub(crate) fn version(value: Option<Value<'_>>) -> Result<Option<i64>, DocumentError> {
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
mod tests;
