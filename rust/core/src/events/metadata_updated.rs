//! `MetadataUpdatedEvent` (15/EME): correlationId, timestamp, timeout, appVersionName, endpointId, then the
//! maps removed, added and updated, and originatorReplicaId.

use super::{EndpointEvent, head};
use crate::error::DecodeError;

/// Decodes up to and including `endpointId`.
///
/// # Errors
/// As [`crate::avro::Reader`] has them.
#[inline]
pub(super) fn decode(payload: &[u8]) -> Result<EndpointEvent<'_>, DecodeError> {
    let (mut reader, correlation_id) = head(payload)?;
    reader.string()?; // appVersionName
    Ok(EndpointEvent {
        correlation_id,
        endpoint_id: reader.string()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        // removed {}, added {"k": null}, updated {}, originatorReplicaId "r".
        let payload = [
            2, b'c', 2, 0, 2, b'v', 4, b'e', b'1', 0, 2, 2, b'k', 0, 0, 0, 2, b'r',
        ];
        let event = EndpointEvent {
            correlation_id: "c",
            endpoint_id: "e1",
        };
        assert_eq!(decode(&payload), Ok(event));
        assert_eq!(decode(&payload[..9]), Ok(event), "the maps are not needed");
    }
}
