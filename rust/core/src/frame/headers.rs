//! NATS header blocks: `NATS/1.0\r\nName: value\r\n…\r\n\r\n`.

use memchr::memchr;

use crate::limits::MAX_HEADER_VALUE;

/// A header that is looked up, in lower case.
#[derive(Clone, Copy, Debug)]
pub struct HeaderName(pub &'static [u8]);

impl HeaderName {
    /// W3C trace context, repeated on the answer.
    pub const TRACEPARENT: Self = Self(b"traceparent");
    /// Version of the endpoint after the change an event tells of.
    pub const VERSION: Self = Self(b"kaa-epr-version");
    /// The version that the change an event tells of was made to, if the event is exact.
    pub const BASE: Self = Self(b"kaa-epr-base");
    /// Who published an event or heartbeat.
    pub const WRITER: Self = Self(b"kaa-epr-writer");
    /// Number of an event; on a heartbeat, of the last one.
    pub const SEQ: Self = Self(b"kaa-epr-seq");
    /// On a heartbeat: the writer stops.
    pub const LEAVING: Self = Self(b"kaa-epr-leaving");
}

/// The value of the first header with this name (in any case), trimmed.
///
/// None when it is absent, longer than [`MAX_HEADER_VALUE`] or not printable ASCII: such a value is never
/// copied into a frame.
pub fn header(block: &[u8], name: HeaderName) -> Option<&[u8]> {
    let mut rest = block;
    let mut first = true;
    while let Some(end) = memchr(b'\n', rest) {
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if first {
            first = false;
            continue;
        }
        let Some(colon) = memchr(b':', line) else { continue };
        if line[..colon].eq_ignore_ascii_case(name.0) {
            let value = line[colon + 1..].trim_ascii();
            let plain = value.iter().all(|byte| (0x20..0x7f).contains(byte));
            return (plain && !value.is_empty() && value.len() <= MAX_HEADER_VALUE).then_some(value);
        }
    }
    None
}

const OPENING: &[u8] = b"NATS/1.0\r\ntraceparent: ";
const CLOSING: &[u8] = b"\r\n\r\n";

/// Bytes of the header block that carries `traceparent`; 0 without one.
pub fn headers_block_len(traceparent: Option<&[u8]>) -> usize {
    traceparent.map_or(0, |value| OPENING.len() + value.len() + CLOSING.len())
}

/// Appends the header block that carries `traceparent`.
pub(super) fn write_block(traceparent: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(OPENING);
    out.extend_from_slice(traceparent);
    out.extend_from_slice(CLOSING);
}
