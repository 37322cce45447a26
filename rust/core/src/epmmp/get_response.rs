//! `EndpointMetadataGetResponse` (19/EPMMP): correlationId, timestamp, timeout, endpointId, eTag (from revision
//! 2), payload, statusCode, reasonPhrase, appVersionName (from revision 3).

use crate::avro::{Reader, len_bytes, len_long, len_string, put_long, put_string};
use crate::error::{Cause, DecodeError};

/// A published revision of the get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2020-01-14.
    One,
    /// 2020-01-29: the answer has an eTag.
    Two,
    /// 2020-05-22: the answer has an appVersionName, the request an includeMetadata.
    Three,
}

/// Metadata as JSON text, whole or projected.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The bytes as they are.
    Whole(&'a [u8]),
    /// An object made of some members of `json`.
    Members {
        /// The stored object.
        json: &'a [u8],
        /// Runs of neighbouring members in stored order: from the first's opening quote to the last's end.
        runs: &'a [(u32, u32)],
        /// Bytes of the object made of them, braces and commas included.
        len: usize,
    },
}

impl Payload<'_> {
    /// Bytes of the payload.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Whole(json) => json.len(),
            Self::Members { len, .. } => *len,
        }
    }

    /// Whether there are no bytes at all (an empty object has two).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the payload's bytes.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(json) => out.extend_from_slice(json),
            Self::Members { json, runs, .. } => {
                out.push(b'{');
                for (index, &(start, end)) in runs.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(json.get(start as usize..end as usize).unwrap_or_default());
                }
                out.push(b'}');
            }
        }
    }

    /// A copy of the payload's bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.append_to(&mut out);
        out
    }
}

/// An answer to a get; `timeout` is always 0 when written.
#[derive(Clone, Copy, Debug)]
pub struct GetResponse<'a> {
    /// Repeated from the request.
    pub correlation_id: &'a str,
    /// When the answer was made, Unix milliseconds.
    pub timestamp: i64,
    /// Repeated from the request.
    pub endpoint_id: &'a str,
    /// The quoted version; not in revision 1.
    pub etag: Option<&'a str>,
    /// The metadata as JSON.
    pub payload: Option<Payload<'a>>,
    /// An HTTP status code.
    pub status: i32,
    /// A short text for everything but 200.
    pub reason: Option<&'a str>,
    /// The endpoint's application version; only in revision 3.
    pub app_version: Option<&'a str>,
}

/// Branch numbers of `["null", T]`, as they stand in the bytes (zigzag).
const NULL: i64 = 0;
const VALUE: i64 = 1;

#[inline]
pub(super) fn len_option(value: Option<usize>) -> usize {
    1 + value.map_or(0, len_bytes)
}

#[inline]
pub(super) fn put_option(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => put_long(out, NULL),
        Some(value) => {
            put_long(out, VALUE);
            put_string(out, value);
        }
    }
}

impl<'a> GetResponse<'a> {
    /// Bytes that [`GetResponse::encode`] appends.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self, revision: Revision) -> usize {
        let etag = if revision >= Revision::Two {
            len_option(self.etag.map(str::len))
        } else {
            0
        };
        let app_version = if revision >= Revision::Three {
            len_option(self.app_version.map(str::len))
        } else {
            0
        };
        len_string(self.correlation_id)
            + len_long(self.timestamp)
            + 1 // timeout
            + len_string(self.endpoint_id)
            + etag
            + len_option(self.payload.as_ref().map(Payload::len))
            + len_long(i64::from(self.status))
            + len_option(self.reason.map(str::len))
            + app_version
    }

    /// Appends the message in one revision; fields which that revision lacks are left out.
    #[inline]
    pub fn encode(&self, revision: Revision, out: &mut Vec<u8>) {
        put_string(out, self.correlation_id);
        put_long(out, self.timestamp);
        put_long(out, 0);
        put_string(out, self.endpoint_id);
        if revision >= Revision::Two {
            put_option(out, self.etag);
        }
        match &self.payload {
            None => put_long(out, NULL),
            Some(payload) => {
                put_long(out, VALUE);
                put_long(out, payload.len() as i64);
                payload.append_to(out);
            }
        }
        put_long(out, i64::from(self.status));
        put_option(out, self.reason);
        if revision >= Revision::Three {
            put_option(out, self.app_version);
        }
    }

    /// Decodes an answer of the given revision (clients, the load generator, tests).
    ///
    /// # Errors
    /// As [`Reader`] has them; [`Cause::Trailing`] for an unknown union branch or bytes behind the message.
    pub fn decode(revision: Revision, payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let correlation_id = reader.string()?;
        let timestamp = reader.long()?;
        let _timeout = reader.long()?;
        let endpoint_id = reader.string()?;
        let etag = if revision >= Revision::Two {
            option(&mut reader, Reader::string)?
        } else {
            None
        };
        let payload = option(&mut reader, Reader::bytes)?.map(Payload::Whole);
        let status = reader.int()?;
        let reason = option(&mut reader, Reader::string)?;
        let app_version = if revision >= Revision::Three {
            option(&mut reader, Reader::string)?
        } else {
            None
        };
        if !reader.rest().is_empty() {
            return Err(reader.error(Cause::Trailing));
        }
        Ok(Self {
            correlation_id,
            timestamp,
            endpoint_id,
            etag,
            payload,
            status,
            reason,
            app_version,
        })
    }
}

fn option<'a, T>(
    reader: &mut Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let start = *reader;
    match reader.long()? {
        NULL => Ok(None),
        VALUE => read(reader).map(Some),
        _ => Err(start.error(Cause::Trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: GetResponse<'_> = GetResponse {
        correlation_id: "c",
        timestamp: 1,
        endpoint_id: "e",
        etag: Some("\"7\""),
        payload: Some(Payload::Whole(b"{}")),
        status: 200,
        reason: None,
        app_version: Some("v"),
    };

    fn encoded(answer: &GetResponse<'_>, revision: Revision) -> Vec<u8> {
        let mut out = Vec::new();
        answer.encode(revision, &mut out);
        assert_eq!(out.len(), answer.encoded_len(revision));
        out
    }

    #[test]
    fn golden_bytes_of_each_revision() {
        let head = [2, b'c', 2, 0, 2, b'e'];
        let etag = [2, 6, b'"', b'7', b'"'];
        let middle = [2, 4, b'{', b'}', 0x90, 0x03, 0];
        let app_version = [2, 2, b'v'];
        assert_eq!(encoded(&ANSWER, Revision::One), [&head[..], &middle].concat());
        assert_eq!(
            encoded(&ANSWER, Revision::Two),
            [&head[..], &etag, &middle].concat()
        );
        assert_eq!(
            encoded(&ANSWER, Revision::Three),
            [&head[..], &etag, &middle, &app_version].concat()
        );
    }

    #[test]
    fn nulls_are_branch_zero() {
        let answer = GetResponse {
            etag: None,
            payload: None,
            app_version: None,
            reason: Some("no"),
            ..ANSWER
        };
        let tail = [0, 0, 0x90, 0x03, 2, 4, b'n', b'o', 0];
        assert_eq!(
            encoded(&answer, Revision::Three),
            [&[2, b'c', 2, 0, 2, b'e'][..], &tail].concat()
        );
    }

    #[test]
    fn members_are_joined_by_commas() {
        let json = br#"{"a":1,"b":2,"c":3}"#;
        let payload = |runs, len| Payload::Members { json, runs, len }.to_vec();
        assert_eq!(payload(&[], 2), b"{}");
        assert_eq!(payload(&[(1, 6), (13, 18)], 13), br#"{"a":1,"c":3}"#);
    }

    #[test]
    fn decoding_refuses_other_branches_and_trailing_bytes() {
        let mut bytes = encoded(&ANSWER, Revision::Three);
        let decoded = GetResponse::decode(Revision::Three, &bytes).expect("is well-formed");
        assert_eq!(decoded.app_version, Some("v"));
        bytes.push(0);
        let error = GetResponse::decode(Revision::Three, &bytes).expect_err("must be refused");
        assert_eq!((error.cause, error.offset), (Cause::Trailing, bytes.len() - 1));
        bytes[6] = 4;
        let error = GetResponse::decode(Revision::Three, &bytes).expect_err("must be refused");
        assert_eq!((error.cause, error.offset), (Cause::Trailing, 6));
    }
}
