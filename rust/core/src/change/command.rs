//! What can be asked of an endpoint. Values were found to be well-formed and bounded where they came in.

use super::RawValue;
use super::metadata::{Item, Metadata};
use super::patch::Patch;
use super::state::Names;
use super::unique::keep_last_at_first;

/// Metadata keys and their values; each key once.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<(String, RawValue)>);

impl Values {
    /// Of a key that is there twice the last value counts.
    #[must_use]
    pub fn new(mut items: Vec<(String, RawValue)>) -> Self {
        keep_last_at_first(&mut items, |(key, _)| key.as_bytes());
        Self(items)
    }

    /// In order.
    #[must_use]
    pub fn items(&self) -> &[(String, RawValue)] {
        &self.0
    }

    /// As metadata that hold nothing else.
    pub(super) fn metadata(&self) -> Metadata<'_> {
        let items = self.0.iter();
        Metadata::new(
            items
                .map(|(key, value)| Item::borrowed(key, value.as_raw()))
                .collect(),
        )
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn weight(&self) -> usize {
        let items = self.0.iter();
        items.map(|(key, value)| key.len() + value.bytes().len()).sum()
    }
}

/// What an endpoint shall belong to.
#[derive(Clone, Debug, Default)]
pub struct NewNames {
    /// The application.
    pub application: Option<String>,
    /// The application version.
    pub app_version: Option<String>,
    /// The endpoint token.
    pub token: Option<String>,
}

impl NewNames {
    pub(super) fn borrowed(&self) -> Names<'_> {
        Names {
            application: self.application.as_deref(),
            app_version: self.app_version.as_deref(),
            token: self.token.as_deref(),
        }
    }
}

/// A command for one endpoint.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the endpoint known. Its ID must be unknown, or a tombstone.
    Register {
        /// What it belongs to.
        names: NewNames,
        /// Its metadata.
        metadata: Values,
        /// The batch task that asks for it: what this task registered before counts as done.
        task: Option<String>,
    },
    /// Forget the endpoint; a tombstone stays.
    Unregister,
    /// Move to another application version.
    SetAppVersion {
        /// The application that the version is one of.
        application: String,
        /// The version.
        app_version: String,
    },
    /// All metadata at once.
    ReplaceMetadata(Values),
    /// RFC 6902 over the metadata as one object.
    PatchMetadata(Patch),
    /// Set some keys, all or none of them.
    PutKeys(Values),
    /// Remove one key.
    DeleteKey(String),
    /// Make the endpoint as it is described, known or not; what is not described is unset.
    Import {
        /// What it belongs to.
        names: NewNames,
        /// Its metadata.
        metadata: Values,
    },
}

impl Command {
    /// What metrics call it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Unregister => "unregister",
            Self::SetAppVersion { .. } => "set_app_version",
            Self::ReplaceMetadata(_) => "replace_metadata",
            Self::PatchMetadata(_) => "patch_metadata",
            Self::PutKeys(_) => "put_keys",
            Self::DeleteKey(_) => "delete_key",
            Self::Import { .. } => "import",
        }
    }

    /// Bytes that it brings.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::PatchMetadata(patch) => patch.weight(),
            _ => self.values().map_or(0, Values::weight),
        }
    }

    /// The values that it brings as they are.
    #[must_use]
    pub const fn values(&self) -> Option<&Values> {
        match self {
            Self::Register { metadata, .. }
            | Self::Import { metadata, .. }
            | Self::ReplaceMetadata(metadata)
            | Self::PutKeys(metadata) => Some(metadata),
            Self::Unregister | Self::SetAppVersion { .. } | Self::PatchMetadata(_) | Self::DeleteKey(_) => {
                None
            }
        }
    }

    /// Whether it looks at all metadata.
    pub(super) const fn is_about_all(&self) -> bool {
        matches!(
            self,
            Self::Register { .. } | Self::Import { .. } | Self::ReplaceMetadata(_) | Self::PatchMetadata(_)
        )
    }

    /// Whether it makes an endpoint of the unknown, and is not judged by conditions.
    pub(super) const fn is_unconditional(&self) -> bool {
        matches!(self, Self::Register { .. } | Self::Import { .. })
    }

    /// Whether it need not read what is stored.
    pub(super) const fn repairs(&self) -> bool {
        matches!(self, Self::Unregister | Self::ReplaceMetadata(_))
    }
}
