//! A stored document taken apart for changing: fields with their bytes, and what of them can be read.

use super::metadata::{Item, Metadata};
use super::unique::keep_last_at_first;
use crate::bson::write::kind;
use crate::bson::{Document, Raw, Value, check, frames};
use crate::error::DocumentError;
use crate::limits::MAX_DOCUMENT;
use std::borrow::Cow;

/// Level of the stored document itself.
const TOP: u32 = 1;

/// The fields that we know; the numbers are places in [`Stored::known`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Name {
    DeletedAt,
    Application,
    ApplicationVersion,
    EndpointToken,
    Metadata,
    CreatedAt,
    MetadataUpdatedAt,
    AppVersionRegisteredAt,
    Registration,
    Id,
    Version,
    Outbox,
    Claim,
}

impl Name {
    const COUNT: usize = Self::Claim as usize + 1;

    /// What describes an endpoint, in the order of statements.
    pub(super) const DESCRIBING: [Self; 9] = [
        Self::DeletedAt,
        Self::Application,
        Self::ApplicationVersion,
        Self::EndpointToken,
        Self::Metadata,
        Self::CreatedAt,
        Self::MetadataUpdatedAt,
        Self::AppVersionRegisteredAt,
        Self::Registration,
    ];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::DeletedAt => "deleted_at",
            Self::Application => "application",
            Self::ApplicationVersion => "application_version",
            Self::EndpointToken => "endpoint_token",
            Self::Metadata => "metadata",
            Self::CreatedAt => "created_at",
            Self::MetadataUpdatedAt => "metadata_updated_at",
            Self::AppVersionRegisteredAt => "app_version_registered_at",
            Self::Registration => "registration",
            Self::Id => "_id",
            Self::Version => "version",
            Self::Outbox => "outbox",
            Self::Claim => "outbox_claim",
        }
    }

    const fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"deleted_at" => Self::DeletedAt,
            b"application" => Self::Application,
            b"application_version" => Self::ApplicationVersion,
            b"endpoint_token" => Self::EndpointToken,
            b"metadata" => Self::Metadata,
            b"created_at" => Self::CreatedAt,
            b"metadata_updated_at" => Self::MetadataUpdatedAt,
            b"app_version_registered_at" => Self::AppVersionRegisteredAt,
            b"registration" => Self::Registration,
            b"_id" => Self::Id,
            b"version" => Self::Version,
            b"outbox" => Self::Outbox,
            b"outbox_claim" => Self::Claim,
            _ => return None,
        })
    }
}

/// A top-level element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Raw<'a>,
    /// Whether readers can read through it.
    pub(super) sound: bool,
}

impl Field<'_> {
    pub(super) const fn known(&self) -> Option<Name> {
        Name::of(self.name)
    }
}

/// What there is. Of a repeated field the last counts, at the place of the first.
#[derive(Debug, Default)]
pub(super) struct Stored<'a> {
    pub(super) fields: Vec<Field<'a>>,
    known: [Option<usize>; Name::COUNT],
    /// Bytes.
    pub(super) size: usize,
}

impl<'a> Stored<'a> {
    /// Takes a document apart.
    ///
    /// # Errors
    /// [`DocumentError`] where not even the fields can be told apart.
    pub(super) fn read(document: &'a [u8]) -> Result<Self, DocumentError> {
        if document.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLarge);
        }
        let mut fields = Vec::with_capacity(16);
        for framed in frames(document)? {
            let framed = framed?;
            fields.push(Field {
                name: framed.name,
                value: framed.value,
                sound: is_sound(framed.name, framed.value),
            });
        }
        keep_last_at_first(&mut fields, |field| field.name);
        let mut known = [None; Name::COUNT];
        for (at, field) in fields.iter().enumerate() {
            if let Some(place) = field.known().and_then(|name| known.get_mut(name as usize)) {
                *place = Some(at);
            }
        }
        Ok(Self {
            fields,
            known,
            size: document.len(),
        })
    }

    /// Whether there is a document at all, be it a tombstone.
    pub(super) const fn exists(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Whether all fields can be read through.
    pub(super) fn sound(&self) -> bool {
        self.fields.iter().all(|field| field.sound)
    }

    pub(super) fn field(&self, name: Name) -> Option<&Field<'a>> {
        let at = self.known.get(name as usize).copied().flatten()?;
        self.fields.get(at)
    }

    /// The field, unless it is null.
    pub(super) fn present(&self, name: Name) -> Option<&Field<'a>> {
        self.field(name)
            .filter(|field| !matches!(field.value.kind, kind::NULL | UNDEFINED))
    }

    /// A string that can be read.
    pub(super) fn text(&self, name: Name) -> Option<&'a str> {
        let field = self.field(name).filter(|field| field.sound)?;
        match field.value.value() {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Unix milliseconds.
    pub(super) fn date(&self, name: Name) -> Option<i64> {
        match self.field(name)?.value.value() {
            Ok(Value::DateTime(unix_ms)) => Some(unix_ms),
            _ => None,
        }
    }

    /// Whether what stands in the place of a claim is no document.
    pub(super) fn has_broken_claim(&self) -> bool {
        let claim = self.field(Name::Claim);
        claim.is_some_and(|field| field.value.kind != kind::DOCUMENT)
    }

    /// The version, if there is one.
    ///
    /// # Errors
    /// [`DocumentError::Version`].
    pub(super) fn version(&self) -> Result<Option<i64>, DocumentError> {
        let Some(field) = self.present(Name::Version) else {
            return Ok(None);
        };
        let value = field.value.value().map_err(|_| DocumentError::Version)?;
        crate::entry::version(Some(value))
    }

    /// The metadata, which is an array of `{key, value}` or a plain document.
    ///
    /// # Errors
    /// [`DocumentError`] where it is neither.
    pub(super) fn metadata(&self) -> Result<Metadata<'a>, DocumentError> {
        let Some(field) = self.present(Name::Metadata) else {
            return Ok(Metadata::default());
        };
        if !field.sound {
            return Err(DocumentError::Metadata);
        }
        let mut items = Vec::new();
        match field.value.value()? {
            Value::Array(array) => {
                for pair in array.raw_values() {
                    items.push(item(pair?)?);
                }
            }
            Value::Document(document) => {
                for element in document.raw_elements() {
                    let (key, value) = element?;
                    items.push(Item::borrowed(key, value));
                }
            }
            _ => return Err(DocumentError::Metadata),
        }
        keep_last_at_first(&mut items, |item| item.key.as_bytes());
        Ok(Metadata::new(items))
    }
}

/// The deprecated null.
pub(super) const UNDEFINED: u8 = 0x06;

fn is_sound(name: &[u8], value: Raw<'_>) -> bool {
    std::str::from_utf8(name).is_ok() && value.value().and_then(|value| check(&value, TOP)).is_ok()
}

/// One element of the metadata array; a missing value is null, and what else it holds is ignored.
fn item(pair: Raw<'_>) -> Result<Item<'_>, DocumentError> {
    if pair.kind != kind::DOCUMENT {
        return Err(DocumentError::MetadataElement);
    }
    let (mut key, mut value) = (None, None);
    for element in Document::new(pair.bytes)?.raw_elements() {
        match element? {
            ("key", found) => key = Some(found),
            ("value", found) => value = Some(found),
            _ => {}
        }
    }
    match key.map(Raw::value) {
        Some(Ok(Value::String(key))) => Ok(Item {
            key: Cow::Borrowed(key),
            kind: value.map_or(kind::NULL, |value| value.kind),
            bytes: Cow::Borrowed(value.map_or(&[], |value| value.bytes)),
        }),
        _ => Err(DocumentError::MetadataElement),
    }
}
