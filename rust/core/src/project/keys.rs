//! The keys of the stored JSON.

use super::Projection;
use crate::avro::put_string;
use crate::entry::{Entry, key_text};
use crate::epmmp::Keys;
use crate::json::put_unescaped;
use crate::limits::CARRY_KEEP;

/// The metadata keys, in stored order.
#[must_use]
pub fn keys<'a>(entry: &Entry, scratch: &'a mut Projection) -> Keys<'a> {
    let fields = entry.fields();
    scratch.keys.clear();
    scratch.keys.shrink_to(CARRY_KEEP);
    for field in 0..fields.len() {
        // Entries are made of text; a key is cut out of it between two quotes.
        let key = std::str::from_utf8(key_text(fields.key_onwards(field))).unwrap_or_default();
        if key.contains('\\') {
            scratch.escaped.clear();
            put_unescaped(&mut scratch.escaped, key);
            put_string(&mut scratch.keys, &scratch.escaped);
        } else {
            put_string(&mut scratch.keys, key);
        }
    }
    Keys {
        count: fields.len(),
        items: &scratch.keys,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;
    use crate::avro::Reader;

    #[test]
    fn keys_come_as_they_were_before_json() {
        let control: Vec<String> = (0..0x20).map(|byte| format!("<{}>", char::from(byte))).collect();
        let mut names: Vec<&str> = control.iter().map(String::as_str).collect();
        names.extend(["a\"b", "a\\", "", "é\n𝄞", "plain", "\\n", "\\u0041", "\u{7f}"]);
        let mut scratch = Projection::new(1);
        let entry = entry(&names);
        let keys = keys(&entry, &mut scratch);
        let mut reader = Reader::new(keys.items);
        let read: Vec<&str> = (0..keys.count)
            .map(|_| reader.string().expect("is well-formed"))
            .collect();
        assert_eq!(read, names);
        assert!(reader.rest().is_empty());
    }
}
