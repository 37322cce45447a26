//! The index of an entry: where each member of its JSON stands.

/// Bytes of a number in an entry whose lengths all fit 14 bits.
pub(super) const NARROW_BYTES: usize = 2;
/// Bytes of a number in any other: 35 bits.
pub(super) const WIDE_BYTES: usize = 5;
/// The largest number of [`NARROW_BYTES`].
pub(super) const NARROW_MAX: usize = (1 << (7 * NARROW_BYTES)) - 1;

/// A byte of 7 bits that equal keys have in common and most unequal ones have not.
#[inline]
pub(crate) fn tag(key: &[u8]) -> u8 {
    let (first, last) = (
        key.first().copied().unwrap_or(0),
        key.last().copied().unwrap_or(0),
    );
    let middle = key.get(key.len() / 2).copied().unwrap_or(0);
    let length = key.len() as u8;
    let mixed =
        length.wrapping_mul(29) ^ first.wrapping_mul(5) ^ middle.wrapping_mul(11) ^ last.wrapping_mul(59);
    mixed & 0x7F
}

/// The members of an entry's JSON object, in stored order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    /// The [`tag`] of every key.
    pub(crate) tags: &'a [u8],
    pub(super) starts: &'a [u8],
    pub(super) width: usize,
    /// The whole object.
    pub(crate) json: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.tags.len()
    }

    /// Where a member's opening quote stands.
    #[inline]
    pub(crate) fn start(&self, index: usize) -> usize {
        number(self.starts, index * self.width, self.width)
    }

    /// Where a member's value ends: before the next one's comma or the closing brace.
    #[inline]
    pub(crate) fn end(&self, index: usize) -> usize {
        if index + 1 < self.len() {
            self.start(index + 1) - 1
        } else {
            self.json.len() - 1
        }
    }

    /// The JSON from behind a key's opening quote.
    #[inline]
    pub(crate) fn key_onwards(&self, index: usize) -> &'a [u8] {
        self.json.get(self.start(index) + 1..).unwrap_or_default()
    }
}

/// Reads the number of `width` bytes at `at`.
#[inline]
pub(super) fn number(bytes: &[u8], at: usize, width: usize) -> usize {
    match bytes.get(at..at + width) {
        Some(&[low, high]) => usize::from(low) | usize::from(high) << 7,
        groups => {
            let groups = groups.unwrap_or_default().iter().rev();
            groups.fold(0, |number, &group| number << 7 | usize::from(group))
        }
    }
}

/// Appends a number in `width` bytes.
pub(super) fn put_number(text: &mut String, number: usize, width: usize) {
    for group in 0..width {
        text.push(char::from((number >> (7 * group)) as u8 & 0x7F));
    }
}

/// Whether `json`, which begins behind a key's opening quote, begins with `key` and the closing one.
#[inline]
pub(crate) fn starts_with_key(json: &[u8], key: &[u8]) -> bool {
    json.get(key.len()) == Some(&b'"') && json.starts_with(key)
}

/// The text of a JSON string up to its closing quote.
pub(crate) fn key_text(json: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found;
        if json.get(at) == Some(&b'"') {
            return &json[..at];
        }
        at += 2; // a backslash and what it escapes
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for (width, largest) in [(NARROW_BYTES, NARROW_MAX), (WIDE_BYTES, u32::MAX as usize)] {
            for value in [0, 1, 127, 128, 300, largest - 1, largest] {
                let mut text = String::from("x");
                put_number(&mut text, value, width);
                assert_eq!(text.len(), 1 + width);
                assert_eq!(number(text.as_bytes(), 1, width), value);
            }
        }
    }

    #[test]
    fn tags_are_ascii_and_tell_numbered_keys_apart() {
        let tags: std::collections::HashSet<u8> = (0..10)
            .map(|at| tag(format!("sensor_key_{at}").as_bytes()))
            .collect();
        assert_eq!(tags.len(), 10);
        assert!((0..=255).all(|byte| tag(&[byte, byte]) < 128 && tag(&[]) < 128));
    }
}
