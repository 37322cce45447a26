//! `EngineConfig` (a frozen dataclass) into the core's `Config`.

use kaa_epr_core::cache::Bounds;
use kaa_epr_core::coherence::Spans;
use kaa_epr_core::entry::FieldMapping;
use kaa_epr_core::epmmp::get_response::Revision;
use kaa_epr_core::output::HoldBounds;
use kaa_epr_core::park::ParkBounds;
use kaa_epr_core::pipeline::Config;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads every attribute; a missing one or a wrong type is the caller's exception.
pub fn config(config: &Bound<'_, PyAny>) -> PyResult<Config> {
    let number = |name: &str| config.getattr(name)?.extract::<u64>();
    let size = |name: &str| config.getattr(name)?.extract::<usize>();
    let mapping = config.getattr("mapping")?;
    let field = |name: &str| Ok::<Box<str>, PyErr>(mapping.getattr(name)?.extract::<String>()?.into());
    Ok(Config {
        cache: Bounds {
            max_bytes: size("cache_max_bytes")?,
            max_age_ms: number("cache_max_age_ms")?,
        },
        unknown: Bounds {
            max_bytes: size("unknown_max_bytes")?,
            max_age_ms: number("unknown_max_age_ms")?,
        },
        park: ParkBounds {
            max_waiters: size("max_pending")?,
            max_bytes: size("max_pending_bytes")?,
        },
        hold: HoldBounds {
            max_bytes: size("max_held_bytes")?,
            max_age_ms: number("held_max_age_ms")?,
        },
        store_timeout_ms: number("store_timeout_ms")?,
        default_revision: revision(number("default_revision")?)?,
        plain_revision: revision(number("plain_revision")?)?,
        spans: Spans {
            settle_ms: number("settle_ms")?,
            silence_ms: number("silence_ms")?,
            forget_ms: number("forget_ms")?,
            floor_ms: number("cache_max_age_ms")?,
            foreign_settle_ms: number("foreign_settle_ms")?,
        },
        apply_events: config.getattr("apply_events")?.extract()?,
        seed: number("hash_seed")?,
        mapping: FieldMapping {
            id: field("id")?,
            metadata: field("metadata")?,
            application_version: field("application_version")?,
            version: field("version")?,
            deleted_at: field("deleted_at")?,
        },
    })
}

fn revision(number: u64) -> PyResult<Revision> {
    match number {
        1 => Ok(Revision::One),
        2 => Ok(Revision::Two),
        3 => Ok(Revision::Three),
        _ => Err(PyValueError::new_err(format!(
            "revision must be 1, 2 or 3, not {number}"
        ))),
    }
}
