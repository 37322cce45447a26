//! Writing `PUB` and `HPUB` frames.

use super::headers::{headers_block_len, write_block};

/// Sizes of one frame to be written, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct PublishLen {
    /// The header block, 0 for `PUB`.
    pub headers: usize,
    /// The payload alone.
    pub payload: usize,
}

impl PublishLen {
    /// Sizes of a frame with this payload and an optional `traceparent`.
    pub fn new(traceparent: Option<&[u8]>, payload: usize) -> Self {
        Self {
            headers: headers_block_len(traceparent),
            payload,
        }
    }

    /// What the server compares with `max_payload`.
    pub fn total(self) -> usize {
        self.headers + self.payload
    }
}

/// Appends one frame; `payload` appends exactly `len.payload` bytes.
pub fn publish(
    out: &mut Vec<u8>,
    subject: &[u8],
    traceparent: Option<&[u8]>,
    len: PublishLen,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let mut digits = itoa::Buffer::new();
    out.reserve(subject.len() + len.total() + 64);
    out.extend_from_slice(if traceparent.is_some() { b"HPUB " } else { b"PUB " });
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some(value) = traceparent {
        out.extend_from_slice(digits.format(len.headers).as_bytes());
        out.push(b' ');
        out.extend_from_slice(digits.format(len.total()).as_bytes());
        out.extend_from_slice(b"\r\n");
        write_block(value, out);
    } else {
        out.extend_from_slice(digits.format(len.total()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let start = out.len();
    payload(out);
    debug_assert_eq!(
        out.len() - start,
        len.payload,
        "the announced size is the written size"
    );
    out.extend_from_slice(b"\r\n");
}
