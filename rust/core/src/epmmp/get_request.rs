//! `EndpointMetadataGetRequest` (19/EPMMP, revisions 1 to 3): correlationId, timestamp, timeout, endpointId,
//! include and, in revision 3, includeMetadata.

use super::Strings;
use super::deadline::deadline;
use crate::avro::Reader;
use crate::error::{Cause, DecodeError};
use crate::limits::MAX_ID_LEN;

pub use super::new_get_request::NewGetRequest;

/// What followed `include`, which is all that tells the revisions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing: revision 1 or 2.
    Plain,
    /// One boolean: revision 3.
    WithFlag {
        /// Whether metadata is wanted at all.
        include_metadata: bool,
    },
}

/// A decoded get; borrows from its payload.
#[derive(Clone, Copy, Debug)]
pub struct GetRequest<'a> {
    /// Repeated in the answer; at most [`MAX_ID_LEN`] bytes.
    pub correlation_id: &'a str,
    /// When the client made the message, Unix milliseconds.
    pub timestamp: i64,
    /// Milliseconds from `timestamp` until the get expires; 0 or less: never.
    pub timeout: i64,
    /// Whose metadata is wanted; at most [`MAX_ID_LEN`] bytes.
    pub endpoint_id: &'a str,
    /// The metadata keys wanted; empty: all.
    pub include: Strings<'a>,
    /// Which revisions the message may be.
    pub shape: Shape,
}

/// A request that does not decode, and what its 400 can still repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// The correlation ID if it decoded and both ids are short enough, else empty.
    pub correlation_id: &'a str,
    /// The endpoint ID if it decoded and both ids are short enough, else empty.
    pub endpoint_id: &'a str,
    /// The shape of a get, and so its revision, if decoding got that far: only an overlong id is found later.
    pub shape: Option<Shape>,
    /// What is wrong, and where.
    pub error: DecodeError,
}

impl GetRequest<'_> {
    /// The last millisecond (Unix) at which the get is still in time; `None` if it never expires.
    #[inline]
    #[must_use]
    pub const fn deadline(&self) -> Option<i64> {
        deadline(self.timestamp, self.timeout)
    }

    /// Whether the deadline has passed at `wall_ms` (Unix milliseconds).
    #[inline]
    #[must_use]
    pub const fn expired(&self, wall_ms: i64) -> bool {
        match self.deadline() {
            Some(deadline) => deadline < wall_ms,
            None => false,
        }
    }
}

/// Decodes a get.
///
/// # Errors
/// By the table in `ARCHITECTURE.md`, "Decoding a get".
#[inline]
pub fn decode(payload: &[u8]) -> Result<GetRequest<'_>, Malformed<'_>> {
    let mut echo = Echo::default();
    decode_fields(payload, &mut echo).map_err(|error| Malformed {
        shape: echo.shape,
        ..Malformed::new(echo.correlation_id, echo.endpoint_id, error)
    })
}

/// What decoded before an error.
#[derive(Clone, Copy, Debug, Default)]
struct Echo<'a> {
    correlation_id: &'a str,
    endpoint_id: &'a str,
    shape: Option<Shape>,
}

#[inline]
fn decode_fields<'a>(payload: &'a [u8], echo: &mut Echo<'a>) -> Result<GetRequest<'a>, DecodeError> {
    let mut reader = Reader::new(payload);
    let correlation_id = reader.string()?;
    echo.correlation_id = correlation_id;
    let timestamp = reader.long()?;
    let timeout = reader.long()?;
    let endpoint_start = reader;
    let endpoint_id = reader.string()?;
    echo.endpoint_id = endpoint_id;
    let include = Strings::read(&mut reader)?;
    let shape = match reader.rest() {
        [] => Shape::Plain,
        [flag @ (0 | 1)] => Shape::WithFlag {
            include_metadata: *flag == 1,
        },
        _ => return Err(reader.error(Cause::Trailing)),
    };
    echo.shape = Some(shape);
    if correlation_id.len() > MAX_ID_LEN {
        return Err(Reader::new(payload).error(Cause::TooLong));
    }
    if endpoint_id.len() > MAX_ID_LEN {
        return Err(endpoint_start.error(Cause::TooLong));
    }
    Ok(GetRequest {
        correlation_id,
        timestamp,
        timeout,
        endpoint_id,
        include,
        shape,
    })
}

impl<'a> Malformed<'a> {
    /// What may be repeated of what decoded: nothing, if one of the ids is too long for that.
    #[cold]
    pub(super) fn new(correlation_id: &'a str, endpoint_id: &'a str, error: DecodeError) -> Self {
        let short = correlation_id.len() <= MAX_ID_LEN && endpoint_id.len() <= MAX_ID_LEN;
        Self {
            correlation_id: if short { correlation_id } else { "" },
            endpoint_id: if short { endpoint_id } else { "" },
            shape: None,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::put_string;

    /// correlationId "c", timestamp 1, timeout 0, endpointId "e", include ["k"], revision 1.
    const GOLDEN: &[u8] = &[2, b'c', 2, 0, 2, b'e', 2, 2, b'k', 0];

    fn with_flag(flag: u8) -> Vec<u8> {
        [GOLDEN, &[flag]].concat()
    }

    fn refused(payload: &[u8]) -> (&str, &str, Cause, usize) {
        let malformed = decode(payload).expect_err("must be refused");
        (
            malformed.correlation_id,
            malformed.endpoint_id,
            malformed.error.cause,
            malformed.error.offset,
        )
    }

    #[test]
    fn golden_bytes_of_each_shape() {
        let get = decode(GOLDEN).expect("is well-formed");
        assert_eq!(
            (get.correlation_id, get.timestamp, get.timeout, get.endpoint_id),
            ("c", 1, 0, "e")
        );
        assert_eq!(get.include.iter().collect::<Vec<_>>(), ["k"]);
        assert_eq!(get.shape, Shape::Plain);
        for (byte, include_metadata) in [(0, false), (1, true)] {
            let payload = with_flag(byte);
            assert_eq!(
                decode(&payload).expect("is well-formed").shape,
                Shape::WithFlag { include_metadata }
            );
        }
    }

    #[test]
    fn encoding_gives_the_golden_bytes() {
        let mut get = NewGetRequest {
            correlation_id: "c",
            timestamp: 1,
            timeout: 0,
            endpoint_id: "e",
            include: &["k"],
            shape: Shape::Plain,
        };
        let mut out = Vec::new();
        get.encode(&mut out);
        assert_eq!(out, GOLDEN);
        assert_eq!(get.encoded_len(), GOLDEN.len());
        out.clear();
        get.include = &[];
        get.shape = Shape::WithFlag {
            include_metadata: true,
        };
        get.encode(&mut out);
        assert_eq!(out, [2, b'c', 2, 0, 2, b'e', 0, 1]);
        assert_eq!(get.encoded_len(), out.len());
    }

    #[test]
    fn every_prefix_echoes_what_decoded() {
        for length in 0..GOLDEN.len() {
            let (correlation_id, endpoint_id, cause, _) = refused(&GOLDEN[..length]);
            assert_eq!(correlation_id, if length >= 2 { "c" } else { "" }, "{length}");
            assert_eq!(endpoint_id, if length >= 6 { "e" } else { "" }, "{length}");
            // A block count with nothing behind it promises more than remains.
            assert_eq!(
                cause,
                if length == 7 {
                    Cause::BlockCount
                } else {
                    Cause::Truncated
                },
                "{length}"
            );
        }
    }

    #[test]
    fn what_follows_include_is_one_boolean_or_nothing() {
        assert_eq!(refused(&with_flag(2)), ("c", "e", Cause::Trailing, 10));
        assert_eq!(
            refused(&[GOLDEN, &[1, 1]].concat()),
            ("c", "e", Cause::Trailing, 10)
        );
    }

    #[test]
    fn long_ids_are_echoed_empty_and_judged_last() {
        let long = "x".repeat(MAX_ID_LEN + 1);
        let edge = "x".repeat(MAX_ID_LEN);
        let encode = |correlation_id: &str, endpoint_id: &str, tail: &[u8]| {
            let mut out = Vec::new();
            let shape = Shape::Plain;
            let (timestamp, timeout, include) = (0, 0, &[][..]);
            NewGetRequest {
                correlation_id,
                timestamp,
                timeout,
                endpoint_id,
                include,
                shape,
            }
            .encode(&mut out);
            out.extend_from_slice(tail);
            out
        };
        assert!(decode(&encode(&edge, &edge, &[])).is_ok());
        assert_eq!(refused(&encode(&long, "e", &[])), ("", "", Cause::TooLong, 0));
        assert_eq!(refused(&encode("c", &long, &[])), ("", "", Cause::TooLong, 4));
        assert_eq!(refused(&encode(&long, "e", &[9])).2, Cause::Trailing);
        assert_eq!(refused(&encode(&long, "e", &[9])).0, "");
    }

    #[test]
    fn only_overlong_ids_are_refused_with_a_known_shape() {
        let mut payload = Vec::new();
        put_string(&mut payload, &"x".repeat(MAX_ID_LEN + 1));
        payload.extend([0, 0, 0, 0, 1]);
        let shape = decode(&payload).expect_err("must be refused").shape;
        assert_eq!(
            shape,
            Some(Shape::WithFlag {
                include_metadata: true
            })
        );
        assert_eq!(decode(&with_flag(2)).expect_err("must be refused").shape, None);
    }

    #[test]
    fn deadlines_saturate_and_negative_timeouts_are_none() {
        let mut get = decode(GOLDEN).expect("is well-formed");
        (get.timestamp, get.timeout) = (100, 50);
        assert_eq!(
            (get.deadline(), get.expired(150), get.expired(151)),
            (Some(150), false, true)
        );
        get.timeout = i64::MAX;
        assert_eq!((get.deadline(), get.expired(i64::MAX)), (Some(i64::MAX), false));
        (get.timestamp, get.timeout) = (i64::MIN, -1);
        assert_eq!((get.deadline(), get.expired(i64::MAX)), (None, false));
    }
}
