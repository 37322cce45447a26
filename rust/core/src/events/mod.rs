//! Events that invalidate: 15/EME metadata updated, 9/ELCE registered, unregistered and appversion-updated.
//!
//! All the responder needs of most is which endpoint they are about, so decoding stops behind `endpointId`. One that
//! is to be applied to a cached entry is decoded as a whole ([`MetadataChanges`]).

mod lifecycle;
mod metadata_updated;

pub use metadata_updated::{MetadataChange, MetadataChanges};

use crate::avro::Reader;
use crate::error::DecodeError;

/// The kinds of events; the numbers are those of `Kind` in `engine/api.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// 15/EME.
    MetadataUpdated = 1,
    /// 9/ELCE.
    Registered = 2,
    /// 9/ELCE.
    Unregistered = 3,
    /// 9/ELCE.
    AppVersionUpdated = 4,
}

impl EventKind {
    /// All kinds, by number.
    pub const ALL: [Self; 4] = [
        Self::MetadataUpdated,
        Self::Registered,
        Self::Unregistered,
        Self::AppVersionUpdated,
    ];

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::MetadataUpdated),
            2 => Some(Self::Registered),
            3 => Some(Self::Unregistered),
            4 => Some(Self::AppVersionUpdated),
            _ => None,
        }
    }
}

/// What an event is about; borrows from its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointEvent<'a> {
    /// For logs.
    pub correlation_id: &'a str,
    /// The endpoint that changed. Not limited in length: whatever it is, its entry must go.
    pub endpoint_id: &'a str,
}

/// Decodes an event up to and including `endpointId`.
///
/// What follows is not examined: an event whose tail is cut off or damaged still names its endpoint, and
/// dropping that endpoint's entry is always right, while refusing the event would cost the whole cache.
///
/// # Errors
/// As [`crate::avro::Reader`] has them.
#[inline]
pub fn decode_endpoint_event(kind: EventKind, payload: &[u8]) -> Result<EndpointEvent<'_>, DecodeError> {
    match kind {
        EventKind::MetadataUpdated => metadata_updated::decode(payload),
        EventKind::Registered | EventKind::Unregistered => lifecycle::decode_registration(payload),
        EventKind::AppVersionUpdated => lifecycle::decode_app_version_updated(payload),
    }
}

/// Reads what all events begin with: correlationId, timestamp and timeout.
#[inline]
fn head(payload: &[u8]) -> Result<(Reader<'_>, &str), DecodeError> {
    let mut reader = Reader::new(payload);
    let correlation_id = reader.string()?;
    reader.long()?; // timestamp
    reader.long()?; // timeout
    Ok((reader, correlation_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_kinds() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(EventKind::from_number(0), None);
        assert_eq!(EventKind::from_number(5), None);
    }
}
