//! `EndpointMetadataKeysGetRequest` (19/EPMMP, 2020-01-29): correlationId, timestamp, timeout, endpointId.

use super::Malformed;
use super::deadline::deadline;
use crate::avro::Reader;
use crate::error::{Cause, DecodeError};
use crate::limits::MAX_ID_LEN;

/// A decoded keys get; borrows from its payload.
#[derive(Clone, Copy, Debug)]
pub struct KeysGetRequest<'a> {
    /// Repeated in the answer; at most [`MAX_ID_LEN`] bytes.
    pub correlation_id: &'a str,
    /// When the client made the message, Unix milliseconds.
    pub timestamp: i64,
    /// Milliseconds from `timestamp` until the request expires; 0 or less: never.
    pub timeout: i64,
    /// Whose metadata keys are wanted; at most [`MAX_ID_LEN`] bytes.
    pub endpoint_id: &'a str,
}

impl KeysGetRequest<'_> {
    /// The last millisecond (Unix) at which the request is still in time; `None` if it never expires.
    #[must_use]
    pub const fn deadline(&self) -> Option<i64> {
        deadline(self.timestamp, self.timeout)
    }
}

/// Decodes a keys get.
///
/// # Errors
/// By the table in `ARCHITECTURE.md`, "Decoding a get"; nothing may follow `endpointId`.
pub fn decode(payload: &[u8]) -> Result<KeysGetRequest<'_>, Malformed<'_>> {
    let (mut correlation_id, mut endpoint_id) = ("", "");
    decode_fields(payload, &mut correlation_id, &mut endpoint_id)
        .map_err(|error| Malformed::new(correlation_id, endpoint_id, error))
}

fn decode_fields<'a>(
    payload: &'a [u8],
    correlation_id: &mut &'a str,
    endpoint_id: &mut &'a str,
) -> Result<KeysGetRequest<'a>, DecodeError> {
    let mut reader = Reader::new(payload);
    *correlation_id = reader.string()?;
    let timestamp = reader.long()?;
    let timeout = reader.long()?;
    let endpoint_start = reader;
    *endpoint_id = reader.string()?;
    if !reader.rest().is_empty() {
        return Err(reader.error(Cause::Trailing));
    }
    if correlation_id.len() > MAX_ID_LEN {
        return Err(Reader::new(payload).error(Cause::TooLong));
    }
    if endpoint_id.len() > MAX_ID_LEN {
        return Err(endpoint_start.error(Cause::TooLong));
    }
    Ok(KeysGetRequest {
        correlation_id,
        timestamp,
        timeout,
        endpoint_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::put_string;

    /// correlationId "c", timestamp 1, timeout 5, endpointId "e".
    const GOLDEN: &[u8] = &[2, b'c', 2, 10, 2, b'e'];

    fn refused(payload: &[u8]) -> (&str, &str, Cause, usize) {
        let malformed = decode(payload).expect_err("must be refused");
        let error = malformed.error;
        (
            malformed.correlation_id,
            malformed.endpoint_id,
            error.cause,
            error.offset,
        )
    }

    #[test]
    fn golden_bytes() {
        let keys = decode(GOLDEN).expect("is well-formed");
        assert_eq!((keys.correlation_id, keys.timestamp, keys.timeout), ("c", 1, 5));
        assert_eq!((keys.endpoint_id, keys.deadline()), ("e", Some(6)));
    }

    #[test]
    fn every_prefix_echoes_what_decoded() {
        for length in 0..GOLDEN.len() {
            let (correlation_id, endpoint_id, cause, _) = refused(&GOLDEN[..length]);
            assert_eq!(correlation_id, if length >= 2 { "c" } else { "" }, "{length}");
            assert_eq!((endpoint_id, cause), ("", Cause::Truncated), "{length}");
        }
    }

    #[test]
    fn nothing_follows() {
        assert_eq!(refused(&[GOLDEN, &[0]].concat()), ("c", "e", Cause::Trailing, 6));
    }

    #[test]
    fn long_ids_are_echoed_empty_and_judged_last() {
        let encode = |correlation_id: &str, endpoint_id: &str, tail: &[u8]| {
            let mut out = Vec::new();
            put_string(&mut out, correlation_id);
            out.extend([0, 0]);
            put_string(&mut out, endpoint_id);
            out.extend_from_slice(tail);
            out
        };
        let (edge, long) = ("x".repeat(MAX_ID_LEN), "x".repeat(MAX_ID_LEN + 1));
        assert!(decode(&encode(&edge, &edge, &[])).is_ok());
        assert_eq!(refused(&encode(&long, "e", &[])), ("", "", Cause::TooLong, 0));
        assert_eq!(refused(&encode("c", &long, &[])), ("", "", Cause::TooLong, 4));
        assert_eq!(refused(&encode(&long, "e", &[1])).2, Cause::Trailing);
    }
}
