//! What requests ask of an entry: the members of the stored JSON that `include` names, as slices of it, or the keys.

mod keys;

pub use keys::keys;

use crate::entry::{Entry, Fields, key_text, starts_with_key, tag};
use crate::epmmp::{Payload, Strings};
use crate::json::{is_plain, put_escaped};
use crate::limits::PROJECT_SCAN_LIMIT;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// Memory that projections use one after the other; empty between them in all but capacity.
#[derive(Clone, Debug)]
pub struct Projection {
    /// A bit a field: whether it is wanted.
    wanted: Vec<u64>,
    runs: Vec<(u32, u32)>,
    escaped: String,
    /// Keys as an Avro array's items.
    keys: Vec<u8>,
    hasher: FixedState,
}

impl Projection {
    /// Scratch memory; `hash_seed` should not be known to those who send gets.
    #[must_use]
    pub fn new(hash_seed: u64) -> Self {
        let hasher = FixedState::with_seed(hash_seed);
        Self {
            wanted: Vec::new(),
            runs: Vec::new(),
            escaped: String::new(),
            keys: Vec::new(),
            hasher,
        }
    }

    fn want(&mut self, field: usize) {
        if let Some(word) = self.wanted.get_mut(field / 64) {
            *word |= 1 << (field % 64);
        }
    }
}

/// The metadata that a get asks for: all of it if `include` is empty, else the named members that exist, in
/// stored order, each once.
#[inline]
#[must_use]
pub fn project<'a>(entry: &'a Entry, include: &Strings<'_>, scratch: &'a mut Projection) -> Payload<'a> {
    if include.is_empty() {
        return Payload::Whole(entry.json());
    }
    let fields = entry.fields();
    scratch.wanted.clear();
    scratch.wanted.resize(fields.len().div_ceil(64), 0);
    if fields.len().saturating_mul(include.len()) <= PROJECT_SCAN_LIMIT {
        select_by_scan(&fields, include, scratch);
    } else {
        select_by_hash(&fields, include, scratch);
    }
    let len = collect_runs(&fields, scratch);
    Payload::Members {
        json: fields.json,
        runs: &scratch.runs,
        len,
    }
}

/// Compares every name with every key whose tag is the same.
fn select_by_scan(fields: &Fields<'_>, include: &Strings<'_>, scratch: &mut Projection) {
    for name in include.bytes() {
        let wanted = tag(name);
        for (field, &tag) in fields.tags.iter().enumerate() {
            if tag == wanted && is_key(fields.key_onwards(field), name, &mut scratch.escaped) {
                scratch.want(field);
                break; // keys are unique
            }
        }
    }
}

/// Whether the JSON string whose opening quote was just before `json` is that of `name`.
#[inline]
fn is_key(json: &[u8], name: &[u8], escaped: &mut String) -> bool {
    // A name that is compared as it is must not have a quote in it, or it could reach beyond the key.
    if is_plain(name) {
        return starts_with_key(json, name);
    }
    escape(escaped, name);
    starts_with_key(json, escaped.as_bytes())
}

/// Puts `name` into `escaped` as it stands in JSON.
#[cold]
fn escape(escaped: &mut String, name: &[u8]) {
    escaped.clear();
    put_escaped(escaped, std::str::from_utf8(name).unwrap_or_default());
}

/// Looks every key up in a set of the names: linear where scanning would be quadratic.
#[cold]
fn select_by_hash(fields: &Fields<'_>, include: &Strings<'_>, scratch: &mut Projection) {
    // Escaped as keys are, so that keys are compared as they stand. Each name took at least a byte to send.
    let mut plain = HashSet::with_capacity_and_hasher(include.len(), scratch.hasher.clone());
    let mut escaped = HashSet::with_hasher(scratch.hasher.clone());
    for name in include.bytes() {
        if is_plain(name) {
            plain.insert(name);
        } else {
            escape(&mut scratch.escaped, name);
            escaped.insert(scratch.escaped.clone().into_bytes());
        }
    }
    for field in 0..fields.len() {
        let key = key_text(fields.key_onwards(field));
        let found = if key.contains(&b'\\') {
            escaped.contains(key)
        } else {
            plain.contains(key)
        };
        if found {
            scratch.want(field);
        }
    }
}

/// Turns the wanted fields into runs of neighbours; gives back the bytes of the object made of them.
#[inline]
fn collect_runs(fields: &Fields<'_>, scratch: &mut Projection) -> usize {
    scratch.runs.clear();
    let mut len = 2; // the braces
    let mut next_of_run = usize::MAX;
    for (index, &word) in scratch.wanted.iter().enumerate() {
        let mut left = word;
        while left != 0 {
            let field = index * 64 + left.trailing_zeros() as usize;
            left &= left - 1;
            let (start, end) = (fields.start(field), fields.end(field));
            len += end - start + usize::from(!scratch.runs.is_empty());
            match scratch.runs.last_mut() {
                Some(run) if field == next_of_run => run.1 = end as u32,
                _ => scratch.runs.push((start as u32, end as u32)),
            }
            next_of_run = field + 1;
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::{Reader, put_long, put_string};
    use crate::entry::Parts;

    /// An entry with these keys, the value of each being its place.
    pub(super) fn entry(keys: &[&str]) -> Entry {
        let mut json = String::from("{");
        let mut fields = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            json.push_str(if place > 0 { "," } else { "" });
            fields.push((*key, json.len()));
            crate::json::put_string(&mut json, key);
            json.push(':');
            json.push_str(&place.to_string());
        }
        json.push('}');
        let parts = Parts {
            id: "e",
            app_version: None,
            version: None,
            json: &json,
            fields: &fields,
        };
        Entry::new(&parts).expect("is small")
    }

    fn projected(entry: &Entry, names: &[&str]) -> String {
        let mut bytes = Vec::new();
        if !names.is_empty() {
            put_long(&mut bytes, names.len() as i64);
            names.iter().for_each(|name| put_string(&mut bytes, name));
        }
        put_long(&mut bytes, 0);
        let include = Strings::read(&mut Reader::new(&bytes)).expect("is well-formed");
        let mut scratch = Projection::new(1);
        let payload = project(entry, &include, &mut scratch);
        let text = payload.to_vec();
        assert_eq!(payload.len(), text.len());
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    #[test]
    fn named_members_come_in_stored_order_and_once() {
        let entry = entry(&["a", "b", "c"]);
        assert_eq!(projected(&entry, &[]), r#"{"a":0,"b":1,"c":2}"#);
        assert_eq!(projected(&entry, &["c", "a", "c", "x"]), r#"{"a":0,"c":2}"#);
        assert_eq!(projected(&entry, &["c", "b"]), r#"{"b":1,"c":2}"#);
        assert_eq!(projected(&entry, &["x", ""]), "{}");
    }

    #[test]
    fn keys_are_compared_and_not_their_escapes() {
        let entry = entry(&["a\"b", "a\\", "", "é\n", "x"]);
        assert_eq!(projected(&entry, &["a\"b"]), r#"{"a\"b":0}"#);
        assert_eq!(
            projected(&entry, &["a\\\"b"]),
            "{}",
            "the escaped form is another key"
        );
        assert_eq!(projected(&entry, &["a\\", ""]), r#"{"a\\":1,"":2}"#);
        assert_eq!(projected(&entry, &["é\n"]), r#"{"é\n":3}"#);
    }

    #[test]
    fn names_do_not_reach_beyond_their_key() {
        let mut same_tags = 0;
        for first in ["a", "\""] {
            for (length, last) in (0..20).flat_map(|length| ('b'..='z').map(move |last| (length, last))) {
                let second = format!("{}{last}", "x".repeat(length));
                let mut name = String::new();
                put_escaped(&mut name, first);
                name.push_str(&format!("\":0,\"{second}"));
                same_tags += u32::from(tag(name.as_bytes()) == tag(first.as_bytes()));
                assert_eq!(projected(&entry(&[first, &second]), &[&name]), "{}");
            }
        }
        assert!(same_tags > 0, "or nothing was compared");
    }

    #[test]
    fn the_empty_object_has_nothing_to_name() {
        assert_eq!(projected(&entry(&[]), &["a"]), "{}");
        assert_eq!(projected(&entry(&[]), &[]), "{}");
    }

    #[test]
    fn hashing_and_scanning_agree() {
        let keys: Vec<String> = (0..70)
            .map(|place| format!("k\"{place}"))
            .chain((0..70).map(|p| format!("k{p}")))
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let entry = entry(&keys);
        let few: Vec<&str> = keys.iter().copied().step_by(29).collect();
        assert!(few.len() * keys.len() <= PROJECT_SCAN_LIMIT);
        let padding = ["absent\\"; PROJECT_SCAN_LIMIT];
        let many: Vec<&str> = few.iter().chain(&padding).copied().collect();
        assert_eq!(projected(&entry, &few), projected(&entry, &many));
        assert_eq!(projected(&entry, &keys.repeat(9)), projected(&entry, &[]));
    }
}
