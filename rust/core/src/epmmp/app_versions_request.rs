//! `AppVersionsByEndpointsRequest` (19/EPMMP, 2024-03-08): correlationId, timestamp, timeout, endpointIds.

use super::deadline::deadline;
use super::{Malformed, Strings};
use crate::avro::Reader;
use crate::error::{Cause, DecodeError};
use crate::limits::{MAX_ENDPOINT_IDS, MAX_ID_LEN};

/// A decoded request for application versions; borrows from its payload.
#[derive(Clone, Copy, Debug)]
pub struct AppVersionsRequest<'a> {
    /// Repeated in the answer; at most [`MAX_ID_LEN`] bytes.
    pub correlation_id: &'a str,
    /// When the client made the message, Unix milliseconds.
    pub timestamp: i64,
    /// Milliseconds from `timestamp` until the request expires; 0 or less: never.
    pub timeout: i64,
    /// Whose application versions are wanted: at most [`MAX_ENDPOINT_IDS`], repeated ones counted each time, of
    /// at most [`MAX_ID_LEN`] bytes each.
    pub endpoint_ids: Strings<'a>,
}

impl AppVersionsRequest<'_> {
    /// The last millisecond (Unix) at which the request is still in time; `None` if it never expires.
    #[must_use]
    pub const fn deadline(&self) -> Option<i64> {
        deadline(self.timestamp, self.timeout)
    }
}

/// Decodes a request for application versions. A malformed one repeats no endpoint ID.
///
/// # Errors
/// By the table in `ARCHITECTURE.md`, "Decoding a get"; nothing may follow `endpointIds`.
pub fn decode(payload: &[u8]) -> Result<AppVersionsRequest<'_>, Malformed<'_>> {
    let mut correlation_id = "";
    decode_fields(payload, &mut correlation_id).map_err(|error| Malformed::new(correlation_id, "", error))
}

fn decode_fields<'a>(
    payload: &'a [u8],
    correlation_id: &mut &'a str,
) -> Result<AppVersionsRequest<'a>, DecodeError> {
    let mut reader = Reader::new(payload);
    *correlation_id = reader.string()?;
    let timestamp = reader.long()?;
    let timeout = reader.long()?;
    let ids_start = reader;
    let endpoint_ids = Strings::read(&mut reader)?;
    if !reader.rest().is_empty() {
        return Err(reader.error(Cause::Trailing));
    }
    if correlation_id.len() > MAX_ID_LEN {
        return Err(Reader::new(payload).error(Cause::TooLong));
    }
    if endpoint_ids.len() > MAX_ENDPOINT_IDS {
        return Err(ids_start.error(Cause::TooMany));
    }
    if endpoint_ids.iter().any(|id| id.len() > MAX_ID_LEN) {
        return Err(ids_start.error(Cause::TooLong));
    }
    Ok(AppVersionsRequest {
        correlation_id,
        timestamp,
        timeout,
        endpoint_ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::{put_long, put_string};

    fn encoded(correlation_id: &str, ids: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        put_string(&mut out, correlation_id);
        out.extend([2, 10]);
        if !ids.is_empty() {
            put_long(&mut out, ids.len() as i64);
            ids.iter().for_each(|id| put_string(&mut out, id));
        }
        out.push(0);
        out
    }

    fn refused(payload: &[u8]) -> (&str, Cause, usize) {
        let malformed = decode(payload).expect_err("must be refused");
        assert_eq!(malformed.endpoint_id, "");
        (
            malformed.correlation_id,
            malformed.error.cause,
            malformed.error.offset,
        )
    }

    #[test]
    fn golden_bytes() {
        let payload = encoded("c", &["a", "b", "a"]);
        assert_eq!(payload, [2, b'c', 2, 10, 6, 2, b'a', 2, b'b', 2, b'a', 0]);
        let asked = decode(&payload).expect("is well-formed");
        assert_eq!((asked.correlation_id, asked.deadline()), ("c", Some(6)));
        assert_eq!(asked.endpoint_ids.iter().collect::<Vec<_>>(), ["a", "b", "a"]);
        assert!(decode(&encoded("c", &[])).is_ok_and(|asked| asked.endpoint_ids.is_empty()));
    }

    #[test]
    fn prefixes_and_what_follows_are_refused() {
        let payload = encoded("c", &["a", "b"]);
        for length in 0..payload.len() {
            let (correlation_id, ..) = refused(&payload[..length]);
            assert_eq!(correlation_id, if length >= 2 { "c" } else { "" }, "{length}");
        }
        assert_eq!(
            refused(&[&payload[..], &[1]].concat()),
            ("c", Cause::Trailing, 10)
        );
    }

    #[test]
    fn ids_are_bounded_in_number_and_length() {
        let (edge, long) = ("x".repeat(MAX_ID_LEN), "x".repeat(MAX_ID_LEN + 1));
        assert!(decode(&encoded(&edge, &[edge.as_str(); MAX_ENDPOINT_IDS])).is_ok());
        let many = encoded("c", &[""; MAX_ENDPOINT_IDS + 1]);
        assert_eq!(refused(&many), ("c", Cause::TooMany, 4));
        assert_eq!(refused(&encoded("c", &["a", &long])), ("c", Cause::TooLong, 4));
        assert_eq!(refused(&encoded(&long, &[&long])), ("", Cause::TooLong, 0));
    }
}
