//! Exact events against the naive way: an entry changed by an event is the entry of the changed document.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use kaa_epr_core::bugs::Bugs;
use kaa_epr_core::entry::{Amendment, Entry, FieldMapping, Stored, amended, from_bson};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use support::exact::{Change, Members};

/// A value as it is stored.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Array(Vec<Value>),
    Document(Vec<(String, Value)>),
}

impl Value {
    /// Its BSON type and bytes.
    fn bson(&self) -> (u8, Vec<u8>) {
        let places = |values: &[Self]| {
            let named = values.iter().enumerate();
            framed(named.map(|(at, value)| (at.to_string(), value.clone())).collect())
        };
        match self {
            Self::Null => (10, Vec::new()),
            Self::Boolean(boolean) => (8, vec![u8::from(*boolean)]),
            Self::Integer(integer) => (18, integer.to_le_bytes().to_vec()),
            Self::Double(double) => (1, double.to_le_bytes().to_vec()),
            Self::Text(text) => (2, string(text)),
            Self::Array(values) => (4, places(values)),
            Self::Document(members) => (3, framed(members.clone())),
        }
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i32 + 1).to_le_bytes()[..], text.as_bytes(), &[0]].concat()
}

fn framed(members: Vec<(String, Value)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in members {
        let (kind, bytes) = value.bson();
        body.extend([&[kind][..], key.as_bytes(), &[0], &bytes].concat());
    }
    [&(body.len() as i32 + 5).to_le_bytes()[..], &body, &[0]].concat()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Boolean),
        2 => any::<i64>().prop_map(Value::Integer),
        1 => any::<f64>().prop_map(Value::Double),
        3 => "[ -~\\n\\t\"\\\\é𝄞\u{1}]{0,12}".prop_map(Value::Text),
        1 => Just(Value::Text("null".into())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map(key(), inner, 0..4).prop_map(|map| Value::Document(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[abc]{0,2}", "[a\"\\\\\né/\u{1}]{1,3}", "key_[0-9]{1,2}"]
}

/// What becomes of a key.
#[derive(Clone, Debug)]
enum Fate {
    Keep,
    Remove,
    Update(Value),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Keep), 1 => Just(Fate::Remove), 2 => value().prop_map(Fate::Update)]
}

/// A document's metadata, the same after a change, and both application versions.
#[derive(Clone, Debug)]
struct Case {
    old: Vec<(String, Value)>,
    new: Vec<(String, Value)>,
    app_versions: [Option<String>; 2],
}

prop_compose! {
    fn case()(
        kept in btree_map(key(), (value(), fate(), any::<u32>()), 0..80),
        added in btree_map(key(), (value(), any::<u32>()), 0..6),
        app_versions in prop_oneof![
            Just([None, None]),
            Just([Some(String::new()), Some(String::new())]),
            "[a-z]{1,9}".prop_map(|new| [None, Some(new)]),
            ("[a-z]{0,3}", "[a-z]{1,9}").prop_map(|(old, new)| [Some(old), Some(new)]),
        ],
    ) -> Case {
        let mut ordered: Vec<_> = kept.into_iter().collect();
        ordered.sort_by_key(|(_, (_, _, place))| *place);
        let mut more: Vec<_> = added.into_iter().collect();
        more.sort_by_key(|(_, (_, place))| *place);
        more.retain(|(key, _)| ordered.iter().all(|(known, _)| known != key));
        let old = ordered.iter().map(|(key, (value, ..))| (key.clone(), value.clone())).collect();
        let changed = ordered.into_iter().filter_map(|(key, (value, fate, _))| match fate {
            Fate::Keep => Some((key, value)),
            Fate::Remove => None,
            Fate::Update(new) => Some((key, new)),
        });
        let new = changed.chain(more.into_iter().map(|(key, (value, _))| (key, value))).collect();
        Case { old, new, app_versions }
    }
}

fn entry(metadata: &[(String, Value)], version: i64, app_version: Option<&str>) -> Entry {
    let mut members = vec![
        ("_id".to_owned(), Value::Text("endpoint".into())),
        ("metadata".to_owned(), Value::Document(metadata.to_vec())),
        ("version".to_owned(), Value::Integer(version)),
    ];
    members.extend(app_version.map(|name| ("application_version".to_owned(), Value::Text(name.into()))));
    match from_bson(&framed(members), &FieldMapping::default()) {
        Ok(Stored::Endpoint(entry)) => entry,
        other => panic!("not an endpoint: {other:?}"),
    }
}

/// Keys, and the text of each value as an entry of that value alone prints it.
fn printed(metadata: &[(String, Value)]) -> Members {
    let text = |value: &Value| {
        let alone = entry(&[("k".to_owned(), value.clone())], 1, None);
        let json = std::str::from_utf8(alone.json()).unwrap();
        json["{\"k\":".len()..json.len() - 1].to_owned()
    };
    let member = |(key, value): &(String, Value)| match value {
        Value::Null => (key.clone(), None),
        _ => (key.clone(), Some(text(value))),
    };
    metadata.iter().map(member).collect()
}

impl Case {
    fn entries(&self) -> [Entry; 2] {
        let [old, new] = &self.app_versions;
        [
            entry(&self.old, 7, old.as_deref()),
            entry(&self.new, 9, new.as_deref()),
        ]
    }

    fn event(&self) -> Vec<u8> {
        let app_version = self.app_versions[1].as_deref().unwrap_or_default();
        Change::between(&printed(&self.old), &printed(&self.new), app_version).encode("endpoint")
    }
}

fn apply(entry: &Entry, payload: &[u8]) -> Option<Entry> {
    let amendment = Amendment {
        payload,
        base: 7,
        version: 9,
        hash_seed: 1,
    };
    amended(entry, &amendment, Bugs::default())
}

proptest! {
    #[test]
    fn an_applied_event_makes_the_entry_of_the_changed_document(case in case()) {
        let [old, new] = case.entries();
        let applied = apply(&old, &case.event());
        prop_assert_eq!(applied.as_ref().map(Entry::json), Some(new.json()));
        prop_assert_eq!(applied, Some(new));
    }

    #[test]
    fn a_damaged_event_makes_nothing_or_an_entry_that_is_whole(
        case in case(), cut in any::<Index>(), damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let [old, _] = case.entries();
        let mut payload = case.event();
        prop_assert_eq!(apply(&old, &payload[..cut.index(payload.len())]), None);
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(applied) = apply(&old, &payload) {
            let read: serde_json::Result<serde_json::Map<String, serde_json::Value>> =
                serde_json::from_slice(applied.json());
            // Lone surrogates are JSON, though not for serde_json.
            let whole = read.is_ok() || applied.json().windows(2).any(|pair| pair == b"\\u");
            prop_assert!(whole);
            prop_assert_eq!(applied.version(), Some(9));
        }
    }

    #[test]
    fn anything_at_all_is_no_event_or_one_that_does_not_panic(case in case(), payload in vec(any::<u8>(), 0..200)) {
        let [old, _] = case.entries();
        let applied = apply(&old, &payload);
        prop_assert!(applied.is_none_or(|entry| entry.version() == Some(9)));
    }

    #[test]
    fn an_event_for_another_document_fits_if_all_it_names_is_the_same(case in case(), other in case()) {
        let [old, _] = case.entries();
        let own = printed(&case.old);
        let change = Change::between(&printed(&other.old), &printed(&other.new), "v");
        let has = |key: &String, value: &Option<String>| own.contains(&(key.clone(), value.clone()));
        let fits = change.removed.iter().all(|(key, value)| has(key, value))
            && change.updated.iter().all(|(key, _, value)| has(key, value))
            && change.added.iter().all(|(key, _)| own.iter().all(|(known, _)| known != key));
        prop_assert_eq!(apply(&old, &change.encode("endpoint")).is_some(), fits);
    }
}
