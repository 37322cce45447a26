//! `RegisteredEvent`, `UnregisteredEvent` and `AppVersionUpdatedEvent` (9/ELCE).

use super::{EndpointEvent, head};
use crate::error::DecodeError;

/// Registered and unregistered: correlationId, timestamp, timeout, appVersionName, endpointId,
/// originatorReplicaId.
///
/// # Errors
/// As [`crate::avro::Reader`] has them.
#[inline]
pub(super) fn decode_registration(payload: &[u8]) -> Result<EndpointEvent<'_>, DecodeError> {
    let (mut reader, correlation_id) = head(payload)?;
    reader.string()?; // appVersionName
    Ok(EndpointEvent {
        correlation_id,
        endpoint_id: reader.string()?,
    })
}

/// Application version updated: correlationId, timestamp, timeout, appVersionName, previousAppVersionName,
/// endpointId, originatorReplicaId.
///
/// # Errors
/// As [`crate::avro::Reader`] has them.
#[inline]
pub(super) fn decode_app_version_updated(payload: &[u8]) -> Result<EndpointEvent<'_>, DecodeError> {
    let (mut reader, correlation_id) = head(payload)?;
    reader.string()?; // appVersionName
    reader.string()?; // previousAppVersionName
    Ok(EndpointEvent {
        correlation_id,
        endpoint_id: reader.string()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    #[test]
    fn golden_bytes_of_a_registration() {
        let payload = [2, b'c', 2, 0, 2, b'v', 4, b'e', b'1', 2, b'r'];
        let event = EndpointEvent {
            correlation_id: "c",
            endpoint_id: "e1",
        };
        assert_eq!(decode_registration(&payload), Ok(event));
        assert_eq!(
            decode_registration(&payload[..9]),
            Ok(event),
            "the replica is not needed"
        );
        let error = decode_registration(&payload[..8]).expect_err("must be refused");
        assert_eq!((error.cause, error.offset), (Cause::Truncated, 6));
    }

    #[test]
    fn golden_bytes_of_an_application_version_update() {
        let payload = [2, b'c', 2, 0, 2, b'v', 2, b'u', 4, b'e', b'1', 2, b'r'];
        let event = EndpointEvent {
            correlation_id: "c",
            endpoint_id: "e1",
        };
        assert_eq!(decode_app_version_updated(&payload), Ok(event));
    }

    #[test]
    fn ids_are_not_limited_in_length() {
        let id = "x".repeat(crate::limits::MAX_ID_LEN + 1);
        let mut payload = vec![0, 0, 0, 0];
        crate::avro::put_string(&mut payload, &id);
        assert_eq!(
            decode_registration(&payload).map(|event| event.endpoint_id),
            Ok(id.as_str())
        );
    }
}
