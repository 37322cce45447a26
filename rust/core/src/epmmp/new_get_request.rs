//! The other direction of [`super::get_request`].

use super::Shape;
use crate::avro::{len_bytes, len_long, len_string, put_boolean, put_long, put_string};

/// A get to be sent: what a client, the load generator and the tests encode.
#[derive(Clone, Copy, Debug)]
pub struct NewGetRequest<'a> {
    /// Repeated in the answer.
    pub correlation_id: &'a str,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// Milliseconds; 0: never expires.
    pub timeout: i64,
    /// Whose metadata is wanted.
    pub endpoint_id: &'a str,
    /// The metadata keys wanted; empty: all.
    pub include: &'a [&'a str],
    /// Which revisions the message is to be.
    pub shape: Shape,
}

impl NewGetRequest<'_> {
    /// Bytes that [`NewGetRequest::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let names: usize = self.include.iter().map(|name| len_string(name)).sum();
        let head = if self.include.is_empty() {
            0
        } else {
            len_long(self.include.len() as i64)
        };
        len_string(self.correlation_id)
            + len_long(self.timestamp)
            + len_long(self.timeout)
            + len_bytes(self.endpoint_id.len())
            + (head + names + 1)
            + usize::from(self.shape != Shape::Plain)
    }

    /// Appends the message; `include` is written as one block.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        put_string(out, self.correlation_id);
        put_long(out, self.timestamp);
        put_long(out, self.timeout);
        put_string(out, self.endpoint_id);
        if !self.include.is_empty() {
            put_long(out, self.include.len() as i64);
            for name in self.include {
                put_string(out, name);
            }
        }
        put_long(out, 0);
        if let Shape::WithFlag { include_metadata } = self.shape {
            put_boolean(out, include_metadata);
        }
    }
}
