//! JSON strings, doubles and base64.

/// Whether `byte` stands for itself within a JSON string.
const fn stands_for_itself(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Whether a JSON string of `text` (UTF-8) is `text` between quotes.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    match text.last_chunk() {
        // The last eight bytes overlap with those before them, which saves going byte by byte at the end.
        Some(last) => {
            text.chunks_exact(8)
                .all(|chunk| chunk.try_into().is_ok_and(are_plain))
                && are_plain(*last)
        }
        None => text.iter().copied().all(stands_for_itself),
    }
}

/// Bytes at the front of `text` that stand for themselves.
#[inline]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = text.get(length..).and_then(<[u8]>::first_chunk)
        && are_plain(*chunk)
    {
        length += 8;
    }
    let rest = text.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|byte| stands_for_itself(**byte)).count()
}

/// [`stands_for_itself`] for eight bytes at a time: three subtractions that borrow if any byte is below 0x20, or
/// zero once a quote or backslash is taken off it by exclusive or.
#[inline]
const fn are_plain(bytes: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x80 * ONES;
    const fn any_below(word: u64, bound: u64) -> u64 {
        word.wrapping_sub(bound * ONES) & !word & HIGH_BITS
    }
    let word = u64::from_le_bytes(bytes);
    let quote = any_below(word ^ (b'"' as u64 * ONES), 1);
    let backslash = any_below(word ^ (b'\\' as u64 * ONES), 1);
    any_below(word, 0x20) | quote | backslash == 0
}

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub fn put_string(out: &mut String, text: &str) {
    out.push('"');
    put_escaped(out, text);
    out.push('"');
}

/// Appends `text` as it stands between the quotes of a JSON string; what is not ASCII stays as it is.
pub fn put_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    if is_plain(text.as_bytes()) {
        out.push_str(text);
        return;
    }
    while let Some(at) = rest.bytes().position(|byte| !stands_for_itself(byte)) {
        // Bytes that need an escape are ASCII, so both cuts are between characters.
        out.push_str(&rest[..at]);
        put_escape(out, rest.as_bytes()[at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cold]
fn put_escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x08 => out.push_str("\\b"),
        0x0C => out.push_str("\\f"),
        _ => {
            out.push_str("\\u00");
            put_hex(out, byte);
        }
    }
}

/// Appends what [`put_escaped`] made `escaped` of.
#[cold]
pub(crate) fn put_unescaped(out: &mut String, escaped: &str) {
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (character, length) = read_escape(&rest.as_bytes()[at + 1..]);
        out.push(character);
        rest = rest.get(at + 1 + length..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// What stands behind a backslash: the character, and how many bytes it took.
fn read_escape(bytes: &[u8]) -> (char, usize) {
    let digit = |at| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
            .unwrap_or(0)
    };
    match bytes.first().copied().unwrap_or(b'\\') {
        b'n' => ('\n', 1),
        b'r' => ('\r', 1),
        b't' => ('\t', 1),
        b'b' => ('\x08', 1),
        b'f' => ('\x0C', 1),
        // Only control characters are written by number.
        b'u' => (char::from((digit(3) << 4 | digit(4)) as u8), 5),
        other => (char::from(other), 1),
    }
}

/// Appends a byte as two lower-case hexadecimal digits.
pub(super) fn put_hex(out: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 0x0F] {
        out.push(char::from_digit(digit.into(), 16).unwrap_or_default());
    }
}

/// Appends an integer.
pub(super) fn put_integer(out: &mut String, value: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends a finite double as Python's `repr` does: the shortest digits that read back the same, with an
/// exponent below 1e-4 and from 1e16 on.
pub(super) fn put_double(out: &mut String, value: f64) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    if let Some((digits, exponent)) = text.split_once('e') {
        put_exponent(out, digits, exponent);
        return;
    }
    let (sign, magnitude) = text
        .strip_prefix('-')
        .map_or(("", text), |magnitude| ("-", magnitude));
    // ryu goes one decimal place further down before it turns to an exponent.
    match magnitude.strip_prefix("0.0000") {
        Some(digits) => {
            let (first, others) = digits.split_at(1.min(digits.len()));
            let point = if others.is_empty() { "" } else { "." };
            for part in [sign, first, point, others, "e-05"] {
                out.push_str(part);
            }
        }
        None => out.push_str(text),
    }
}

/// Appends digits and exponent with the exponent's sign and at least two digits of it.
fn put_exponent(out: &mut String, digits: &str, exponent: &str) {
    let (sign, magnitude) = exponent
        .strip_prefix('-')
        .map_or(("+", exponent), |magnitude| ("-", magnitude));
    let padding = if magnitude.len() < 2 { "0" } else { "" };
    for part in [digits, "e", sign, padding, magnitude] {
        out.push_str(part);
    }
}

/// Appends bytes in base64 (RFC 4648, section 4), padded.
pub(super) fn put_base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index| u32::from(*chunk.get(index).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET[(bits >> shift & 63) as usize];
            out.push(if index <= chunk.len() { digit.into() } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        print(&mut out);
        out
    }

    #[test]
    fn strings_escape_what_json_must() {
        assert_eq!(
            printed(|out| put_string(out, "a\"b\\c/é\u{2028}😀\u{7f}")),
            "\"a\\\"b\\\\c/é\u{2028}😀\u{7f}\""
        );
        assert_eq!(
            printed(|out| put_escaped(out, "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} ")),
            "\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f "
        );
    }

    #[test]
    fn plain_strings_are_those_without_escapes() {
        for text in ["", "a", "é\u{7f}", "a\"", "\\", "\u{1f}"] {
            assert_eq!(
                is_plain(text.as_bytes()),
                printed(|out| put_escaped(out, text)) == text,
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_byte_is_plain_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    assert_eq!(
                        is_plain(&text),
                        stands_for_itself(byte),
                        "{byte} at {at} of {length}"
                    );
                    let plain = if stands_for_itself(byte) { length } else { at };
                    assert_eq!(plain_length(&text), plain, "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn doubles_print_as_pythons_repr() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (27.0, "27.0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (-0.000012345, "-1.2345e-05"),
            (0.000001, "1e-06"),
            (1e-10, "1e-10"),
            (1e15, "1000000000000000.0"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(printed(|out| put_double(out, value)), text);
        }
    }

    #[test]
    fn base64_of_the_rfc() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(printed(|out| put_base64(out, bytes.as_bytes())), text);
        }
        assert_eq!(printed(|out| put_base64(out, &[0xfb, 0xff])), "+/8=");
    }
}
