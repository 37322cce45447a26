//! A stored document as REST shows it: JSON text made of bytes.

use super::metadata::put_text;
use super::state::State;
use super::stored::{Name, Stored};
use crate::error::DocumentError;
use crate::json::{Printer, put_iso, put_string};

/// A document to be shown. What cannot be read is left out.
pub struct View<'a> {
    id: Option<&'a str>,
    state: State<'a>,
}

impl<'a> View<'a> {
    /// Reads a raw document.
    ///
    /// # Errors
    /// [`DocumentError`] when nothing of it can be shown.
    pub fn new(document: &'a [u8]) -> Result<Self, DocumentError> {
        let stored = Stored::read(document)?;
        let id = stored.text(Name::Id);
        let state = State::read(id.unwrap_or_default(), &stored);
        Ok(Self { id, state })
    }

    /// `_id`, if it is a string.
    #[must_use]
    pub const fn id(&self) -> Option<&'a str> {
        self.id
    }

    /// Whether readers see an endpoint; else it is a tombstone.
    #[must_use]
    pub const fn known(&self) -> bool {
        self.state.known()
    }

    /// Whether metadata and version can be read.
    #[must_use]
    pub const fn readable(&self) -> bool {
        self.state.readable
    }

    /// None: none, or unreadable.
    #[must_use]
    pub const fn version(&self) -> Option<i64> {
        self.state.version
    }

    /// The application.
    #[must_use]
    pub const fn application(&self) -> Option<&'a str> {
        self.state.names.application
    }

    /// The application version.
    #[must_use]
    pub const fn app_version(&self) -> Option<&'a str> {
        self.state.names.app_version
    }

    /// The batch task that registered the endpoint.
    #[must_use]
    pub const fn registration(&self) -> Option<&'a str> {
        self.state.registration
    }

    /// Metadata keys in stored order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.state.metadata.items().iter().map(|item| &*item.key)
    }

    /// The same as a JSON array.
    #[must_use]
    pub fn keys_text(&self) -> String {
        let mut out = String::from("[");
        for key in self.keys() {
            if out.len() > 1 {
                out.push(',');
            }
            put_string(&mut out, key);
        }
        out.push(']');
        out
    }

    /// JSON object of the `wanted` keys; None where a value among them has no JSON form, or metadata cannot be read.
    #[must_use]
    pub fn metadata_text(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        if self.state.readable {
            self.state.metadata.text(wanted)
        } else {
            None
        }
    }

    /// JSON of one value; None when there is none, or it has no JSON form.
    #[must_use]
    pub fn key_text(&self, key: &str) -> Option<String> {
        let item = self.state.metadata.get(key)?;
        let mut printer = Printer::default();
        put_text(&mut printer, item.value()).then_some(printer.out)
    }

    /// Name and date of the application version.
    #[must_use]
    pub fn app_version_text(&self) -> Option<String> {
        app_version_text(&self.state)
    }

    /// JSON object of the endpoint; what is not stored, or unreadable, is left out.
    #[must_use]
    pub fn endpoint_text(&self, with_metadata: bool) -> String {
        let state = &self.state;
        let metadata = if with_metadata {
            self.metadata_text(|_| true)
        } else {
            None
        };
        let members = [
            ("endpointId", self.id.map(string)),
            ("createdDate", state.created_at.and_then(date)),
            ("metadataUpdatedDate", state.metadata_updated_at.and_then(date)),
            ("appVersion", self.app_version_text()),
            ("endpointToken", state.names.token.map(string)),
            ("metadata", metadata),
        ];
        let mut out = String::from("{");
        for (name, text) in members {
            let Some(text) = text else { continue };
            if out.len() > 1 {
                out.push(',');
            }
            put_string(&mut out, name);
            out.push(':');
            out.push_str(&text);
        }
        out.push('}');
        out
    }
}

/// `{"name": …, "registeredDate": …}`; None without an application version.
pub(super) fn app_version_text(state: &State<'_>) -> Option<String> {
    let mut out = String::from(r#"{"name":"#);
    put_string(&mut out, state.names.app_version?);
    if let Some(date) = state.app_version_registered_at.and_then(date) {
        out.push_str(r#","registeredDate":"#);
        out.push_str(&date);
    }
    out.push('}');
    Some(out)
}

fn string(text: &str) -> String {
    let mut out = String::new();
    put_string(&mut out, text);
    out
}

/// ISO 8601, UTC, milliseconds; None for what lies outside of the years 1 to 9999.
fn date(unix_ms: i64) -> Option<String> {
    let mut out = String::from("\"");
    put_iso(&mut out, unix_ms).then(|| {
        out.push('"');
        out
    })
}
