//! What an endpoint is between two commands.

use super::metadata::Metadata;
use super::stored::{Name, Stored};

/// What an endpoint belongs to; what is stored and no string counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The application.
    pub application: Option<&'a str>,
    /// The application version.
    pub app_version: Option<&'a str>,
    /// The endpoint token.
    pub token: Option<&'a str>,
}

impl Names<'_> {
    const STORED: [Name; 3] = [Name::Application, Name::ApplicationVersion, Name::EndpointToken];
}

/// One endpoint; dates in Unix milliseconds.
#[derive(Clone, Debug)]
pub(super) struct State<'a> {
    pub(super) id: &'a str,
    /// Whether there is a document at all, be it a tombstone.
    pub(super) exists: bool,
    pub(super) deleted: bool,
    /// None: written by others, who number nothing; or unreadable.
    pub(super) version: Option<i64>,
    /// Whether the version could be read and can grow.
    pub(super) numbered: bool,
    /// Whether version and metadata, and all else that readers read through, could be read.
    pub(super) readable: bool,
    /// Whether none of the names is there and no string: readers refuse such a document.
    pub(super) tidy: bool,
    pub(super) names: Names<'a>,
    pub(super) metadata: Metadata<'a>,
    /// See [`Metadata::size`].
    pub(super) metadata_bytes: usize,
    pub(super) created_at: Option<i64>,
    pub(super) metadata_updated_at: Option<i64>,
    pub(super) app_version_registered_at: Option<i64>,
    /// The batch task that registered it.
    pub(super) registration: Option<&'a str>,

    /// When it was unregistered, by a command of this plan.
    pub(super) deleted_at: Option<i64>,
    /// Whether the metadata are other than what is stored.
    pub(super) new_metadata: bool,
    /// Whether fields that we know nothing of go.
    pub(super) wiped: bool,
    /// Whether fields that cannot be read go.
    pub(super) repaired: bool,
}

impl<'a> State<'a> {
    /// No document.
    pub(super) fn absent(id: &'a str) -> Self {
        Self {
            id,
            exists: false,
            deleted: false,
            version: None,
            numbered: true,
            readable: true,
            tidy: true,
            names: Names::default(),
            metadata: Metadata::default(),
            metadata_bytes: 0,
            created_at: None,
            metadata_updated_at: None,
            app_version_registered_at: None,
            registration: None,
            deleted_at: None,
            new_metadata: false,
            wiped: false,
            repaired: false,
        }
    }

    /// The state that is stored.
    pub(super) fn read(id: &'a str, stored: &Stored<'a>) -> Self {
        let absent = Self::absent(id);
        if !stored.exists() {
            return absent;
        }
        let version = stored.version();
        let metadata = stored.metadata();
        let readable = stored.sound() && version.is_ok() && metadata.is_ok();
        let metadata_bytes = metadata.as_ref().map_or(0, Metadata::size);
        Self {
            exists: true,
            deleted: stored.present(Name::DeletedAt).is_some(),
            numbered: !matches!(version, Err(_) | Ok(Some(i64::MAX))),
            version: version.unwrap_or_default(),
            readable,
            tidy: Names::STORED
                .iter()
                .all(|&name| stored.present(name).is_none() || stored.text(name).is_some()),
            names: Names {
                application: stored.text(Name::Application),
                app_version: stored.text(Name::ApplicationVersion),
                token: stored.text(Name::EndpointToken),
            },
            metadata_bytes,
            metadata: metadata.unwrap_or_default(),
            created_at: stored.date(Name::CreatedAt),
            metadata_updated_at: stored.date(Name::MetadataUpdatedAt),
            app_version_registered_at: stored.date(Name::AppVersionRegisteredAt),
            registration: stored.text(Name::Registration),
            ..absent
        }
    }

    /// All else.
    pub(super) fn without_metadata(&self) -> Self {
        Self {
            metadata: Metadata::default(),
            names: self.names,
            ..*self
        }
    }

    /// Whether readers see an endpoint.
    pub(super) const fn known(&self) -> bool {
        self.exists && !self.deleted
    }

    /// Versions grow by one. Where none can be read, the next must be above whatever was seen before.
    pub(super) fn next_version(&self, now_ms: i64) -> i64 {
        match self.version.unwrap_or(0).checked_add(1) {
            Some(next) if self.numbered => next,
            _ => now_ms.max(1),
        }
    }

    /// The version that an exact difference is exact against.
    pub(super) const fn base(&self) -> Option<i64> {
        if self.readable { self.version } else { None }
    }
}
