//! Exact events, as [`super::targets`].

use kaa_epr_core::bugs::Bugs;
use kaa_epr_core::entry::{Amendment, Entry, Parts, amended};
use kaa_epr_core::events::{EventKind, MetadataChange, MetadataChanges, decode_endpoint_event};
use kaa_epr_core::json::put_string;

/// Keys of the entry, and the JSON text of their values.
const MEMBERS: [(&str, &str); 3] = [("a", "1"), ("b\"", r#""x""#), ("n", "null")];

/// Applying an event to an entry: it is applied exactly if a naive reading says that it fits, to the same text.
pub fn applied(payload: &[u8]) {
    fits(payload);
}

/// The same; whether it was applied.
pub fn fits(payload: &[u8]) -> bool {
    let members = MEMBERS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (json, starts) = printed(&members);
    let fields: Vec<_> = MEMBERS.iter().map(|(key, _)| *key).zip(starts).collect();
    let parts = Parts {
        id: "e1",
        app_version: Some("v1"),
        version: Some(3),
        json: &json,
        fields: &fields,
    };
    let entry = Entry::new(&parts).expect("is small");
    let amendment = Amendment {
        payload,
        base: 3,
        version: 4,
        hash_seed: 7,
    };
    let applied = amended(&entry, &amendment, Bugs::default());
    let expected = naive(payload, &members).map(|(app_version, members)| {
        let (json, starts) = printed(&members);
        let fields: Vec<_> = members.iter().map(|(key, _)| key.as_str()).zip(starts).collect();
        let parts = Parts {
            app_version: Some(app_version),
            version: Some(4),
            json: &json,
            fields: &fields,
            ..parts
        };
        Entry::new(&parts).expect("is small")
    });
    assert_eq!(
        applied.as_ref().map(Entry::json),
        expected.as_ref().map(Entry::json)
    );
    assert_eq!(applied, expected);
    assert!(applied.is_none() || decode_endpoint_event(EventKind::MetadataUpdated, payload).is_ok());
    applied.is_some()
}

type Members = Vec<(String, String)>;

/// The object, and where each member of it starts.
fn printed(members: &[(String, String)]) -> (String, Vec<usize>) {
    let (mut json, mut starts) = (String::from("{"), Vec::new());
    for (key, value) in members {
        json.push_str(if starts.is_empty() { "" } else { "," });
        starts.push(json.len());
        put_string(&mut json, key);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    (json, starts)
}

/// The application version and the members after the event; None if it does not fit.
fn naive<'a>(payload: &'a [u8], old: &[(String, String)]) -> Option<(&'a str, Members)> {
    let changes = MetadataChanges::read(payload).ok()?;
    let app_version = changes.app_version;
    let (mut members, mut met) = (old.to_vec(), Vec::new());
    for change in changes {
        let (key, before, after) = match change.ok()? {
            MetadataChange::Removed { key, old } => (key, Some(text(old)?), None),
            MetadataChange::Added { key, new } => (key, None, Some(new_text(new)?)),
            MetadataChange::Updated { key, old, new } => (key, Some(text(old)?), Some(new_text(new)?)),
        };
        let at = old.iter().position(|(known, _)| known == key);
        if met.contains(&key) || at.map(|at| old[at].1.as_str()) != before {
            return None;
        }
        met.push(key);
        let at = members.iter().position(|(known, _)| known == key);
        match (at, after) {
            (Some(at), Some(value)) => members[at].1 = value.to_owned(),
            (Some(at), None) => drop(members.remove(at)),
            (None, value) => members.push((key.to_owned(), value?.to_owned())),
        }
    }
    (!app_version.is_empty()).then_some((app_version, members))
}

fn text(value: Option<&str>) -> Option<&str> {
    value.map_or(Some("null"), |text| (text != "null").then_some(text))
}

/// A value that serde_json takes too, without whitespace between its parts.
fn new_text(value: Option<&str>) -> Option<&str> {
    let text = text(value)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    <serde::de::IgnoredAny as serde::Deserialize>::deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    let (mut inside, mut escaped, mut depth, mut deepest) = (false, false, 0_u32, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'"' => inside = !inside,
            b'\\' => escaped = true,
            _ if inside => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth -= 1,
            b' ' | b'\n' | b'\r' | b'\t' => return None,
            _ => {}
        }
    }
    (deepest <= 100).then_some(text)
}

/// Events that fit, of all shapes.
pub fn corpus() -> Vec<Vec<u8>> {
    let head = [2, b'c', 2, 0, 2, b'v', 4, b'e', b'1'];
    let (a, n) = ([2, b'a', 2, 2, b'1'], [2, b'n', 0]);
    let long = [&[2, b'k', 2, 32], &br#"{"k":[-1.5e7,0]}"#[..]].concat();
    let text = [&[2, b'l', 2, 18], &br#""a\u00e9""#[..]].concat();
    let of = |parts: &[&[u8]]| [&head, &parts.concat()[..], &[2, b'r']].concat();
    vec![
        of(&[&[4], &a, &n, &[0, 0, 0]]),
        of(&[&[0], &[4], &long, &text, &[0, 0]]),
        // A block with its size.
        of(&[
            &[0],
            &[2],
            &long,
            &[0],
            &[1, 16],
            &a[..2],
            &[2, 2, b'2'],
            &a[2..],
            &[0],
        ]),
        of(&[
            &[2],
            &a,
            &[0],
            &[2],
            &text,
            &[0],
            &[2],
            &n[..2],
            &[2, 4, b'[', b']', 0, 0],
        ]),
    ]
}
