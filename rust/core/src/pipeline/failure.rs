//! What requests are answered with when not with 200.

use crate::error::Cause;

/// A status other than 200 and its reasonPhrase (ARCHITECTURE.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub status: i32,
    pub reason: &'static str,
}

impl Failure {
    pub(super) const NOT_FOUND: Self = Self {
        status: 404,
        reason: "Endpoint not found",
    };
    pub(super) const TOO_LARGE: Self = Self {
        status: 413,
        reason: "Metadata exceeds the maximum NATS payload",
    };
    pub(super) const ANSWER_TOO_LARGE: Self = Self {
        status: 413,
        reason: "Answer exceeds the maximum NATS payload",
    };
    pub(super) const UNUSABLE: Self = Self {
        status: 500,
        reason: "Stored endpoint is unusable",
    };
    pub(super) const BUG: Self = Self {
        status: 500,
        reason: "Internal server error",
    };
    pub(super) const STORE: Self = Self {
        status: 503,
        reason: "Endpoint store is unavailable",
    };
    pub(super) const BUSY: Self = Self {
        status: 503,
        reason: "Too many requests are waiting",
    };

    /// A request that did not decode.
    pub(super) fn malformed(cause: Cause) -> Self {
        Self {
            status: 400,
            reason: cause.reason(),
        }
    }
}
