//! Why a command is refused. Texts name fields and keys, never values.

use std::borrow::Cow;

/// The kinds are those of `kaa_epr/refusals.py`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command itself is wrong, whatever is stored.
    Invalid {
        /// Of the request. Whoever shows it escapes what cannot be printed.
        field: Cow<'static, str>,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// More than may be stored, or than one event may carry.
    TooLarge {
        /// Of the request.
        field: Cow<'static, str>,
        /// What is too large, and how large it may be.
        reason: Cow<'static, str>,
    },
    /// Something unique exists already.
    Taken {
        /// Of the request.
        field: &'static str,
        /// What exists.
        reason: &'static str,
    },
    /// The key may not be changed.
    Restricted(String),
    /// The endpoint has no such key.
    KeyUnknown(String),
    /// No such endpoint, or a tombstone.
    EndpointUnknown,
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed,
    /// A JSON Patch does not fit what is stored.
    PatchConflict {
        /// Of the operation.
        index: usize,
        /// What does not fit.
        reason: Cow<'static, str>,
    },
    /// The stored document cannot be read.
    Unusable,
    /// A second try of what the first may have done, and somebody else changed the endpoint since.
    Superseded,
    /// A bug.
    Bug,
}

impl Refusal {
    pub(super) fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid {
            field: field.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn too_large(
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::TooLarge {
            field: field.into(),
            reason: reason.into(),
        }
    }
}
