//! Limits and choices of one responder, and the time that comes with every call.

use crate::cache::Bounds;
use crate::coherence::Spans;
use crate::entry::FieldMapping;
use crate::epmmp::get_response::Revision;
use crate::output::HoldBounds;
use crate::park::ParkBounds;

/// The two clocks, read by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix time in milliseconds.
    pub wall_ms: i64,
    /// A monotonic clock in milliseconds.
    pub mono_ms: u64,
}

/// Limits and choices; the Python side of it is `EngineConfig`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Known endpoints.
    pub cache: Bounds,
    /// Marks of unknown endpoints.
    pub unknown: Bounds,
    /// Gets that wait.
    pub park: ParkBounds,
    /// Answers held while no connection is up.
    pub hold: HoldBounds,
    /// How long a get may wait for a load to begin, in milliseconds.
    pub store_timeout_ms: u64,
    /// Revision of the 400 to a get that could not be read far enough to tell its own.
    pub default_revision: Revision,
    /// Revision of a request with nothing after `include`.
    pub plain_revision: Revision,
    /// Spans of the coherence rules.
    pub spans: Spans,
    /// Whether events that name their base are applied to what is cached (rule 12).
    pub apply_events: bool,
    /// Seed of the hashes.
    pub seed: u64,
    /// Names of the document fields.
    pub mapping: FieldMapping,
}
