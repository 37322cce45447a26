//! Avro encoding by appending to a `Vec<u8>`, and the exact sizes in advance.

use super::MAX_VARINT;

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Bytes that a `long` or `int` takes.
#[inline]
#[must_use]
pub const fn len_long(value: i64) -> usize {
    // `| 1`: zero takes one byte too.
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that a `bytes` of this length takes, its length included.
#[inline]
#[must_use]
pub const fn len_bytes(length: usize) -> usize {
    len_long(length as i64) + length
}

/// Bytes that a `string` takes, its length included.
#[inline]
#[must_use]
pub const fn len_string(value: &str) -> usize {
    len_bytes(value.len())
}

/// Appends a `long` or `int`.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    let mut bytes = [0; MAX_VARINT];
    let mut used = 0;
    while rest >= 0x80 {
        bytes[used] = rest as u8 | 0x80;
        rest >>= 7;
        used += 1;
    }
    bytes[used] = rest as u8;
    out.extend_from_slice(&bytes[..=used]);
}

/// Appends a `bytes`: its length, then the bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_long(out, value.len() as i64);
    out.extend_from_slice(value);
}

/// Appends a `string`.
#[inline]
pub fn put_string(out: &mut Vec<u8>, value: &str) {
    put_bytes(out, value.as_bytes());
}

/// Appends a `boolean`.
#[inline]
pub fn put_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_long(&mut out, value);
        out
    }

    #[test]
    fn longs_are_zigzag_varints() {
        // The table of the Avro 1.11 specification, "Binary encoding", and the ends of the range.
        let golden: [(i64, &[u8]); 11] = [
            (0, &[0x00]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-2, &[0x03]),
            (2, &[0x04]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (8192, &[0x80, 0x80, 0x01]),
            (-8193, &[0x81, 0x80, 0x01]),
            (
                i64::MAX,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ];
        for (value, bytes) in golden {
            assert_eq!(long(value), bytes, "{value}");
        }
    }

    #[test]
    fn lengths_are_exact_at_every_power_of_two() {
        for shift in 0..63 {
            for value in [1_i64 << shift, (1 << shift) - 1, -(1 << shift), -(1 << shift) - 1] {
                assert_eq!(len_long(value), long(value).len(), "{value}");
            }
        }
        assert_eq!(len_long(i64::MIN), 10);
        assert_eq!(len_long(i64::MAX), 10);
    }

    #[test]
    fn strings_carry_their_length_in_bytes() {
        let mut out = Vec::new();
        put_string(&mut out, "é");
        put_bytes(&mut out, b"");
        put_boolean(&mut out, true);
        assert_eq!(out, [0x04, 0xc3, 0xa9, 0x00, 0x01]);
        assert_eq!(len_string("é") + len_bytes(0) + 1, out.len());
    }
}
