//! Projection against a reference of ten lines.
#![allow(clippy::expect_used, missing_docs)]

use kaa_epr_core::avro::{Reader, put_long, put_string};
use kaa_epr_core::entry::{Entry, Parts};
use kaa_epr_core::epmmp::Strings;
use kaa_epr_core::json;
use kaa_epr_core::project::{Projection, project};
use proptest::prelude::*;

/// The members named by `include`, or all if it is empty, in stored order.
fn reference(members: &[(String, String)], include: &[String]) -> String {
    let wanted = members
        .iter()
        .filter(|(key, _)| include.is_empty() || include.contains(key));
    let texts: Vec<String> = wanted.map(|(key, value)| member(key, value)).collect();
    format!("{{{}}}", texts.join(","))
}

fn member(key: &str, value: &str) -> String {
    let mut text = String::new();
    json::put_string(&mut text, key);
    format!("{text}:{value}")
}

fn entry(members: &[(String, String)]) -> Entry {
    let json = reference(members, &[]);
    let mut start = 1;
    let mut fields = Vec::new();
    for (key, value) in members {
        fields.push((key.as_str(), start));
        start += member(key, value).len() + 1;
    }
    let parts = Parts {
        id: "e",
        app_version: Some("v"),
        version: Some(1),
        json: &json,
        fields: &fields,
    };
    Entry::new(&parts).expect("fits 32 bits")
}

fn projected(entry: &Entry, include: &[String]) -> String {
    let mut bytes = Vec::new();
    if !include.is_empty() {
        put_long(&mut bytes, include.len() as i64);
        include.iter().for_each(|name| put_string(&mut bytes, name));
    }
    put_long(&mut bytes, 0);
    let include = Strings::read(&mut Reader::new(&bytes)).expect("is well-formed");
    let mut scratch = Projection::new(7);
    let payload = project(entry, &include, &mut scratch);
    let text = payload.to_vec();
    assert_eq!(text.len(), payload.len());
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Few different keys, so that names and keys meet.
fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[ab\"\\\\é]{0,3}", "key[0-9]{1,2}", any::<String>()]
}

fn members(most: usize) -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop::sample::select(vec!["1", "null", "\"a,\\\"b\\\":1\"", "{\"a\":[1,2]}", "[]"]);
    prop::collection::btree_map(key(), value.prop_map(String::from), 0..most)
        .prop_map(|members| members.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #[test]
    fn small_projections(members in members(12), include in prop::collection::vec(key(), 0..8)) {
        prop_assert_eq!(projected(&entry(&members), &include), reference(&members, &include));
    }

    #[test]
    fn every_choice_of_stored_keys(members in members(100), choice in prop::collection::vec(any::<bool>(), 100)) {
        let chosen = members.iter().zip(choice).filter(|(_, chosen)| *chosen);
        let include: Vec<String> = chosen.map(|((key, _), _)| key.clone()).rev().collect();
        prop_assert_eq!(projected(&entry(&members), &include), reference(&members, &include));
    }
}

/// Far beyond what is compared one by one; each name also needs an escape.
#[test]
fn ten_thousand_names_of_ten_thousand_fields() {
    let members: Vec<_> = (0..10_000)
        .map(|place| (format!("key\n{place}"), place.to_string()))
        .collect();
    let include: Vec<_> = (0..10_000).map(|place| format!("key\n{}", place * 2)).collect();
    let expected: Vec<_> = members.iter().step_by(2).cloned().collect();
    let entry = entry(&members);
    assert_eq!(projected(&entry, &include), reference(&expected, &[]));
}
