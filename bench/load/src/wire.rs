//! Avro of the messages the generator speaks, written down a second time on purpose: a checker that used the
//! core's codec would share its mistakes.

/// Appends a zigzag varint (Avro 1.11, "long").
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a string or bytes.
pub fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_long(out, value.len() as i64);
    out.extend_from_slice(value);
}

/// Reads Avro items from the front of a slice; `None` when they are not there.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// A long or int.
    pub fn long(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    /// A string or bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    /// A union of null and bytes or string.
    pub fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        match self.long()? {
            0 => Some(None),
            1 => self.bytes().map(Some),
            _ => None,
        }
    }
}

/// What the checks need of a get response.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Echo of the request's correlation id.
    pub correlation: &'a [u8],
    /// Echo of the request's endpoint id.
    pub endpoint: &'a [u8],
    /// The version of the metadata; revision 1 has none.
    pub etag: Option<&'a [u8]>,
    /// The metadata.
    pub payload: Option<&'a [u8]>,
    /// Status code.
    pub status: i64,
}

/// `EndpointMetadataGetResponse` (19/EPMMP) of revision 1 or 3; `None` unless all of `bytes` is one.
pub fn answer(bytes: &[u8], revision: u8) -> Option<Answer<'_>> {
    let mut reader = Reader(bytes);
    let correlation = reader.bytes()?;
    let _timestamp = reader.long()?;
    let _timeout = reader.long()?;
    let endpoint = reader.bytes()?;
    let etag = if revision == 3 { reader.optional()? } else { None };
    let payload = reader.optional()?;
    let status = reader.long()?;
    reader.optional()?; // reasonPhrase
    if revision == 3 {
        reader.optional()?; // appVersionName
    }
    reader.0.is_empty().then_some(Answer {
        correlation,
        endpoint,
        etag,
        payload,
        status,
    })
}

/// The front of a get request, enough to check an echo of it: correlation id and endpoint id.
pub fn request_front(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    let correlation = reader.bytes()?;
    let _timestamp = reader.long()?;
    let _timeout = reader.long()?;
    Some((correlation, reader.bytes()?))
}

/// The version that an eTag claims: it is a version in quotes.
pub fn version(etag: &[u8]) -> Option<i64> {
    let digits = etag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends a number in decimal digits.
pub fn put_decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// One metadata field changed, values as JSON text.
pub struct Updated<'a> {
    /// The field.
    pub key: &'a str,
    /// Its value now.
    pub new: &'a [u8],
    /// Its value before.
    pub old: &'a [u8],
}

/// Appends a `MetadataUpdatedEvent` (15/EME) with one updated key.
pub fn put_event(
    out: &mut Vec<u8>,
    correlation: &[u8],
    timestamp: i64,
    endpoint: &[u8],
    updated: &Updated<'_>,
) {
    put_bytes(out, correlation);
    put_long(out, timestamp);
    put_long(out, 0); // timeout: never expires
    put_bytes(out, b"bench-v1");
    put_bytes(out, endpoint);
    put_long(out, 0); // removed: no block
    put_long(out, 0); // added: no block
    put_long(out, 1); // updated: one block of one
    put_bytes(out, updated.key.as_bytes());
    for value in [updated.new, updated.old] {
        put_long(out, 1);
        put_bytes(out, value);
    }
    put_long(out, 0);
    put_bytes(out, b"bench-0");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_come_back() {
        for value in [0, -1, 1, 63, 64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_long(&mut out, value);
            let mut reader = Reader(&out);
            assert_eq!((reader.long(), reader.0.len()), (Some(value), 0));
        }
    }

    /// Bytes by fastavro for correlationId "c", timestamp 1, timeout 0, endpointId "e", eTag "\"1\"",
    /// payload "{}", statusCode 200, reasonPhrase null, appVersionName "v".
    const REVISION_3: &[u8] = b"\x02c\x02\x00\x02e\x02\x06\"1\"\x02\x04{}\x90\x03\x00\x02\x02v";

    #[test]
    fn decodes_what_fastavro_writes() {
        let expected = Answer {
            correlation: b"c",
            endpoint: b"e",
            etag: Some(b"\"1\""),
            payload: Some(b"{}"),
            status: 200,
        };
        assert_eq!(answer(REVISION_3, 3), Some(expected));
    }

    #[test]
    fn an_etag_is_a_version_in_quotes() {
        assert_eq!(version(b"\"17\""), Some(17));
        for wrong in [&b"17"[..], b"\"", b"\"\"", b"\"x\"", b"W/\"17\""] {
            assert_eq!(version(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn rejects_every_truncation_and_trailing_bytes() {
        for length in 0..REVISION_3.len() {
            assert_eq!(answer(&REVISION_3[..length], 3), None, "{length} bytes");
        }
        assert_eq!(answer(&[REVISION_3, b"\0"].concat(), 3), None);
    }
}
