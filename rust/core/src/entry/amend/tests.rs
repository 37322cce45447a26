//! Each way in which an event may fail to fit, and what comes of one that fits.

use super::*;
use crate::avro::{put_long, put_string};
use crate::entry::Parts;

type Value<'a> = Option<&'a str>;

/// What an event says; `Default` is one that fits [`entry`] and changes nothing.
#[derive(Clone, Default)]
struct Event<'a> {
    app_version: &'a str,
    removed: Vec<(&'a str, Value<'a>)>,
    added: Vec<(&'a str, Value<'a>)>,
    /// Key, new value, old value.
    updated: Vec<(&'a str, Value<'a>, Value<'a>)>,
}

impl Event<'_> {
    /// With every item in a block of its own.
    fn payload(&self) -> Vec<u8> {
        let mut out = vec![2, b'c', 2, 0];
        put_string(&mut out, self.app_version);
        put_string(&mut out, "e1");
        for map in [&self.removed, &self.added] {
            for (key, value) in map {
                put_long(&mut out, 1);
                put_string(&mut out, key);
                put_value(&mut out, *value);
            }
            put_long(&mut out, 0);
        }
        for (key, new, old) in &self.updated {
            put_long(&mut out, 1);
            put_string(&mut out, key);
            put_value(&mut out, *new);
            put_value(&mut out, *old);
        }
        put_long(&mut out, 0);
        put_string(&mut out, "replica");
        out
    }

    fn applied(&self, entry: &Entry) -> Option<Entry> {
        applied(entry, &self.payload(), 3)
    }

    fn fits(&self) -> bool {
        self.applied(&entry()).is_some()
    }
}

fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        None => out.push(0),
        Some(text) => {
            out.push(2);
            put_string(out, text);
        }
    }
}

fn applied(entry: &Entry, payload: &[u8], base: i64) -> Option<Entry> {
    let amendment = Amendment {
        payload,
        base,
        version: 5,
        hash_seed: 7,
    };
    amended(entry, &amendment, Bugs::default())
}

fn made_of(app_version: Option<&str>, version: Option<i64>, members: &[(&str, &str)]) -> Entry {
    let (mut json, mut fields) = (String::from("{"), Vec::new());
    for (key, value) in members {
        if json.len() > 1 {
            json.push(',');
        }
        fields.push((*key, json.len()));
        crate::json::put_string(&mut json, key);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    let parts = Parts {
        id: "e1",
        app_version,
        version,
        json: &json,
        fields: &fields,
    };
    Entry::new(&parts).expect("is small")
}

/// Version 3 of an endpoint without an application version.
fn entry() -> Entry {
    made_of(None, Some(3), &[("a", "1"), ("b\"", r#""x""#), ("n", "null")])
}

#[test]
fn removed_updated_and_added_keys() {
    let event = Event {
        app_version: "v2",
        removed: vec![("a", Some("1"))],
        added: vec![("z\n", Some(r#"{"k":[1]}"#)), ("y", None)],
        updated: vec![("n", Some("2.5"), None), ("b\"", None, Some(r#""x""#))],
    };
    let expected = made_of(
        Some("v2"),
        Some(5),
        &[
            ("b\"", "null"),
            ("n", "2.5"),
            ("z\n", r#"{"k":[1]}"#),
            ("y", "null"),
        ],
    );
    let applied = event.applied(&entry()).expect("fits");
    assert_eq!(applied.json(), expected.json());
    assert_eq!(applied, expected);
}

#[test]
fn an_entry_may_become_empty_and_be_filled_again() {
    let all = vec![("a", Some("1")), ("b\"", Some(r#""x""#)), ("n", None)];
    let event = Event {
        removed: all,
        ..Event::default()
    };
    let empty = event.applied(&entry()).expect("fits");
    assert_eq!(empty, made_of(None, Some(5), &[]));
    let event = Event {
        added: vec![("k", Some("1"))],
        ..Event::default()
    };
    let filled = applied(&empty, &event.payload(), 5).expect("fits");
    assert_eq!(filled, made_of(None, Some(5), &[("k", "1")]));
}

#[test]
fn only_an_entry_of_the_base_is_changed() {
    let payload = Event::default().payload();
    assert!(applied(&entry(), &payload, 3).is_some());
    assert!(applied(&entry(), &payload, 2).is_none() && applied(&entry(), &payload, 4).is_none());
    assert!(applied(&made_of(None, None, &[]), &payload, 0).is_none());
}

#[test]
fn the_application_version_is_the_events_or_there_is_none() {
    let of = |app_version| Event {
        app_version,
        ..Event::default()
    };
    let none = entry();
    let empty = made_of(Some(""), Some(3), &[]);
    let some = made_of(Some("v1"), Some(3), &[]);
    let app_version = |app_version, entry: &Entry| {
        let applied = of(app_version).applied(entry);
        applied.map(|entry| entry.app_version().map(str::to_owned))
    };
    assert_eq!(app_version("", &none), Some(None));
    assert_eq!(app_version("", &empty), Some(Some(String::new())));
    assert_eq!(app_version("", &some), None);
    for entry in [none, empty, some] {
        assert_eq!(app_version("v2", &entry), Some(Some("v2".to_owned())));
    }
}

#[test]
fn old_values_fit_byte_for_byte() {
    let removing = |key, old| Event {
        removed: vec![(key, old)],
        ..Event::default()
    };
    let updating = |key, old| Event {
        updated: vec![(key, Some("0"), old)],
        ..Event::default()
    };
    for (key, old, fits) in [
        ("a", Some("1"), true),
        ("b\"", Some(r#""x""#), true),
        ("n", None, true),
        ("n", Some("null"), false),
        ("a", None, false),
        ("a", Some("10"), false),
        ("a", Some(""), false),
        ("a", Some("1,"), false),
        ("b\"", Some("x"), false),
        ("b", Some(r#""x""#), false),
        ("absent", Some("1"), false),
        ("", Some("1"), false),
    ] {
        assert_eq!(removing(key, old).fits(), fits, "{key} {old:?}");
        assert_eq!(updating(key, old).fits(), fits, "{key} {old:?}");
    }
}

#[test]
fn new_values_are_json_and_null_is_not_written_out() {
    for (new, fits) in [
        (None, true),
        (Some("0"), true),
        (Some("null"), false),
        (Some(""), false),
        (Some("{"), false),
        (Some("1 "), false),
    ] {
        let adding = Event {
            added: vec![("new", new)],
            ..Event::default()
        };
        let updating = Event {
            updated: vec![("a", new, Some("1"))],
            ..Event::default()
        };
        assert_eq!((adding.fits(), updating.fits()), (fits, fits), "{new:?}");
    }
}

#[test]
fn no_key_comes_twice() {
    let (a, new) = (("a", Some("1")), ("new", Some("1")));
    let update = ("a", Some("2"), Some("1"));
    let fits = |removed: &[_], added: &[_], updated: &[_]| {
        let event = Event {
            app_version: "",
            removed: removed.to_vec(),
            added: added.to_vec(),
            updated: updated.to_vec(),
        };
        event.fits()
    };
    assert!(fits(&[a], &[], &[]) && fits(&[], &[new], &[]) && fits(&[], &[], &[update]));
    assert!(!fits(&[a, a], &[], &[]) && !fits(&[], &[new, new], &[]) && !fits(&[], &[], &[update, update]));
    assert!(!fits(&[a], &[a], &[]), "removed and added");
    assert!(!fits(&[a], &[], &[update]), "removed and updated");
    assert!(!fits(&[], &[a], &[]), "added, though it is there");
    let added_then_updated = ("new", Some("2"), Some("1"));
    assert!(!fits(&[], &[new], &[added_then_updated]), "added and updated");
}

#[test]
fn what_is_damaged_fits_nothing() {
    let event = Event {
        app_version: "v",
        removed: vec![("a", Some("1"))],
        added: vec![("k", Some("[true]"))],
        updated: vec![("n", Some("{}"), None)],
    };
    let payload = event.payload();
    assert!(applied(&entry(), &payload, 3).is_some());
    for length in 0..payload.len() {
        assert!(
            applied(&entry(), &payload[..length], 3).is_none(),
            "{length} bytes"
        );
    }
    let longer = [payload.as_slice(), &[0]].concat();
    assert!(applied(&entry(), &longer, 3).is_none(), "a trailing byte");
}

#[test]
fn many_keys_are_found_by_hash_as_one_by_one() {
    for count in [1, 20, 40, 3_000] {
        let keys: Vec<String> = (0..2 * count).map(|number| format!("k\"{number}")).collect();
        let members: Vec<_> = keys[..count].iter().map(|key| (key.as_str(), "1")).collect();
        let entry = made_of(None, Some(3), &members);
        let event = Event {
            removed: members
                .iter()
                .step_by(2)
                .map(|&(key, _)| (key, Some("1")))
                .collect(),
            added: keys[count..]
                .iter()
                .map(|key| (key.as_str(), Some("3")))
                .collect(),
            updated: members
                .iter()
                .skip(1)
                .step_by(2)
                .map(|&(key, _)| (key, Some("2"), Some("1")))
                .collect(),
            ..Event::default()
        };
        let kept = members.iter().skip(1).step_by(2).map(|&(key, _)| (key, "2"));
        let added = keys[count..].iter().map(|key| (key.as_str(), "3"));
        let expected: Vec<_> = kept.chain(added).collect();
        assert_eq!(event.applied(&entry), Some(made_of(None, Some(5), &expected)));
        let mut twice = event.clone();
        twice.added.push((keys[count].as_str(), None));
        assert_eq!(twice.applied(&entry), None, "{count}: added twice");
        let mut again = event;
        again.updated.push((keys[0].as_str(), None, Some("1")));
        assert_eq!(again.applied(&entry), None, "{count}: removed and updated");
    }
}
