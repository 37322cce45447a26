//! Events whose changes are exact against a version, and documents that show it when one was applied to another.

use kaa_epr_core::avro::{put_long, put_string};
use kaa_epr_core::frame::Kind;
use kaa_epr_core::pipeline::Responder;

use super::{WALL, element, header_block, tell, text};

/// Keys and the JSON text of their values, in stored order; None: null.
pub type Members = Vec<(String, Option<String>)>;

/// A 15/EME event.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub app_version: String,
    pub removed: Members,
    pub added: Members,
    /// Key, new value, old value.
    pub updated: Vec<(String, Option<String>, Option<String>)>,
}

impl Change {
    /// From one version's metadata to the next one's, of which keys that both have are in the same order.
    pub fn between(old: &Members, new: &Members, app_version: &str) -> Self {
        let find = |members: &Members, wanted: &str| members.iter().position(|(key, _)| key == wanted);
        let mut change = Self {
            app_version: app_version.to_owned(),
            ..Self::default()
        };
        for (key, value) in old {
            match find(new, key) {
                None => change.removed.push((key.clone(), value.clone())),
                Some(at) if new[at].1 != *value => {
                    change
                        .updated
                        .push((key.clone(), new[at].1.clone(), value.clone()));
                }
                Some(_) => {}
            }
        }
        let is_new = |(key, _): &&(String, _)| find(old, key).is_none();
        change.added = new.iter().filter(is_new).cloned().collect();
        change
    }

    pub fn encode(&self, id: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_string(&mut out, "event");
        put_long(&mut out, WALL);
        put_long(&mut out, 0);
        put_string(&mut out, &self.app_version);
        put_string(&mut out, id);
        for map in [&self.removed, &self.added] {
            put_map(&mut out, map, |out, (key, value)| {
                put_string(out, key);
                put_value(out, value.as_deref());
            });
        }
        put_map(&mut out, &self.updated, |out, (key, new, old)| {
            put_string(out, key);
            put_value(out, new.as_deref());
            put_value(out, old.as_deref());
        });
        put_string(&mut out, "replica");
        out
    }
}

fn put_map<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    if !items.is_empty() {
        put_long(out, items.len() as i64);
        items.iter().for_each(|item| put(out, item));
    }
    put_long(out, 0);
}

fn put_value(out: &mut Vec<u8>, value: Option<&str>) {
    put_long(out, value.is_some().into());
    if let Some(value) = value {
        put_string(out, value);
    }
}

/// The metadata of a version. Each of three keys has the last version that was its turn to write it, so that a
/// version is made of three histories, and the last key is the version itself. `stamp` is what somebody writes who
/// keeps no versions.
pub fn content(version: i64, stamp: i64) -> Members {
    let mut members = vec![("stamp".to_owned(), Some(stamp.to_string()))];
    for turn in 1..=3 {
        let written = version - (version - turn).rem_euclid(3);
        if written > 0 {
            members.push((format!("turn-{turn}"), Some(written.to_string())));
        }
    }
    members.push((version.to_string(), None));
    members
}

/// Metadata as gets print it.
pub fn json(members: &Members) -> String {
    let member = |(key, value): &(String, Option<String>)| {
        let value = value.as_deref().unwrap_or("null");
        format!("{key:?}:{value}")
    };
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

/// The stamp of a [`content`] as gets print it.
pub fn stamp(json: &str) -> i64 {
    let stamp = json
        .strip_prefix("{\"stamp\":")
        .and_then(|rest| rest.split_once(','));
    stamp.expect("the stamp is first").0.parse().expect("a number")
}

/// The same as BSON elements; its values are numbers and null.
pub fn put_content(out: &mut Vec<u8>, members: &Members) {
    for (key, value) in members {
        match value {
            None => element(out, 10, key, &[]),
            Some(value) => {
                let number: i64 = value.parse().expect("a number");
                element(out, 18, key, &number.to_le_bytes());
            }
        }
    }
}

/// The application version of a document's elements.
pub fn put_app_version(out: &mut Vec<u8>, version: i64) {
    element(out, 2, "application_version", &text(&version.to_string()));
}

/// The event of a register that made `version` out of the one before.
pub fn exact_payload(id: &str, version: i64) -> Vec<u8> {
    let change = Change::between(
        &content(version - 1, 0),
        &content(version, 0),
        &version.to_string(),
    );
    change.encode(id)
}

/// How an event of ours names its writer, number, version and base.
pub fn headers_of(writer: &str, seq: u64, version: i64, base: Option<i64>) -> Vec<u8> {
    let (seq, version) = (seq.to_string(), version.to_string());
    let base = base.map(|base| base.to_string());
    let mut headers = vec![
        ("Kaa-Epr-Version", version.as_str()),
        ("Kaa-Epr-Writer", writer),
        ("Kaa-Epr-Seq", seq.as_str()),
    ];
    headers.extend(base.as_deref().map(|base| ("Kaa-Epr-Base", base)));
    header_block(&headers)
}

/// An exact event of a new writer's, from `base` to `version`.
pub fn change(responder: &mut Responder, id: &str, base: i64, version: i64, change: &Change, ms: u64) {
    let (base, writer) = (base.to_string(), format!("writer-{version}"));
    let version = version.to_string();
    let headers = [
        ("Kaa-Epr-Writer", writer.as_str()),
        ("Kaa-Epr-Seq", "1"),
        ("Kaa-Epr-Version", version.as_str()),
        ("Kaa-Epr-Base", base.as_str()),
    ];
    tell(responder, Kind::MetadataUpdated, &headers, &change.encode(id), ms);
}
