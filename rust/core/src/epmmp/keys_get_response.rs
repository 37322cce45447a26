//! `EndpointMetadataKeysGetResponse` (19/EPMMP, 2020-01-29): correlationId, timestamp, timeout, endpointId, keys,
//! statusCode, reasonPhrase.

use super::get_response::{len_option, put_option};
use crate::avro::{len_long, len_string, put_long, put_string};

/// Metadata keys as the items of an Avro array, its counts left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys<'a> {
    /// How many there are.
    pub count: usize,
    /// Each as an Avro string, one behind the other.
    pub items: &'a [u8],
}

/// An answer to a keys get; `timeout` is always 0 when written.
#[derive(Clone, Copy, Debug)]
pub struct KeysGetResponse<'a> {
    /// Repeated from the request.
    pub correlation_id: &'a str,
    /// When the answer was made, Unix milliseconds.
    pub timestamp: i64,
    /// Repeated from the request.
    pub endpoint_id: &'a str,
    /// In stored order; none but with status 200.
    pub keys: Keys<'a>,
    /// An HTTP status code.
    pub status: i32,
    /// A short text for everything but 200.
    pub reason: Option<&'a str>,
}

impl KeysGetResponse<'_> {
    /// Bytes that [`KeysGetResponse::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let counts = 1 + match self.keys.count {
            0 => 0,
            count => len_long(count as i64),
        };
        len_string(self.correlation_id)
            + len_long(self.timestamp)
            + 1 // timeout
            + len_string(self.endpoint_id)
            + (counts + self.keys.items.len())
            + len_long(i64::from(self.status))
            + len_option(self.reason.map(str::len))
    }

    /// Appends the message; the keys are one block.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.correlation_id);
        put_long(out, self.timestamp);
        put_long(out, 0);
        put_string(out, self.endpoint_id);
        if self.keys.count > 0 {
            put_long(out, self.keys.count as i64);
            out.extend_from_slice(self.keys.items);
        }
        put_long(out, 0);
        put_long(out, i64::from(self.status));
        put_option(out, self.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_with_and_without_keys() {
        let answer = KeysGetResponse {
            correlation_id: "c",
            timestamp: 1,
            endpoint_id: "e",
            keys: Keys {
                count: 2,
                items: &[2, b'k', 0],
            },
            status: 200,
            reason: None,
        };
        let refusal = KeysGetResponse {
            keys: Keys::default(),
            status: 404,
            reason: Some("no"),
            ..answer
        };
        let golden: [(_, &[u8]); 2] = [
            (answer, &[4, 2, b'k', 0, 0, 0x90, 0x03, 0]),
            (refusal, &[0, 0xa8, 0x06, 2, 4, b'n', b'o']),
        ];
        for (answer, tail) in golden {
            let mut out = Vec::new();
            answer.encode(&mut out);
            assert_eq!(out, [&[2, b'c', 2, 0, 2, b'e'], tail].concat());
            assert_eq!(out.len(), answer.encoded_len());
        }
    }
}
