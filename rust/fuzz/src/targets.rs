//! One function per target: panics when the code under test and its oracle disagree.

use super::reference::{Bytes, Get, decode_get};
use kaa_epr_core::avro::{Reader, put_long, put_string};
use kaa_epr_core::entry::{Entry, FieldMapping, Parts, Stored, documents, from_bson, id_of};
use kaa_epr_core::epmmp::get_request::{self, NewGetRequest};
use kaa_epr_core::epmmp::{GetResponse, Revision, Shape, Strings};
use kaa_epr_core::error::Cause;
use kaa_epr_core::events::{EventKind, decode_endpoint_event};
use kaa_epr_core::project::{Projection, keys, project};

/// Decoding a get: against the reference, and through the encoder.
pub fn get_request(data: &[u8]) {
    let mut expected = Get::default();
    let verdict = decode_get(data, &mut expected);
    match get_request::decode(data) {
        Ok(get) => {
            assert_eq!(verdict, Ok(()));
            assert_eq!(as_reference(&get), expected);
            let names: Vec<&str> = get.include.iter().collect();
            let mut again = Vec::new();
            let (timestamp, timeout, shape) = (get.timestamp, get.timeout, get.shape);
            let (correlation_id, endpoint_id, include) = (get.correlation_id, get.endpoint_id, &names[..]);
            NewGetRequest {
                correlation_id,
                timestamp,
                timeout,
                endpoint_id,
                include,
                shape,
            }
            .encode(&mut again);
            let again = get_request::decode(&again).expect("what was encoded decodes");
            assert_eq!(as_reference(&again), expected);
        }
        Err(malformed) => {
            assert_eq!(verdict, Err(malformed.error.cause));
            assert!(malformed.error.offset <= data.len());
            assert_eq!(malformed.shape.is_some(), malformed.error.cause == Cause::TooLong);
            if expected.correlation_id.len() > 4096 || expected.endpoint_id.len() > 4096 {
                (expected.correlation_id, expected.endpoint_id) = Default::default();
            }
            assert_eq!(malformed.correlation_id, expected.correlation_id);
            assert_eq!(malformed.endpoint_id, expected.endpoint_id);
        }
    }
}

fn as_reference(get: &get_request::GetRequest<'_>) -> Get {
    Get {
        correlation_id: get.correlation_id.into(),
        times: [get.timestamp, get.timeout],
        endpoint_id: get.endpoint_id.into(),
        include: get.include.iter().map(String::from).collect(),
        flag: match get.shape {
            Shape::Plain => None,
            Shape::WithFlag { include_metadata } => Some(include_metadata),
        },
    }
}

/// Decoding an answer of each revision: what decodes is encoded to something that decodes to the same.
pub fn get_response(data: &[u8]) {
    for revision in [Revision::One, Revision::Two, Revision::Three] {
        match GetResponse::decode(revision, data) {
            Ok(answer) => {
                let mut bytes = Vec::new();
                answer.encode(revision, &mut bytes);
                assert_eq!(bytes.len(), answer.encoded_len(revision));
                assert!(bytes.len() <= data.len(), "the encoder takes the shortest form");
                let again = GetResponse::decode(revision, &bytes).expect("what was encoded decodes");
                assert_eq!(format!("{again:?}"), format!("{answer:?}"));
            }
            Err(error) => assert!(error.offset <= data.len()),
        }
    }
}

/// Decoding an event of each kind: against the reference, and whatever follows the endpoint ID.
pub fn event(data: &[u8]) {
    for kind in EventKind::ALL {
        let names = if kind == EventKind::AppVersionUpdated {
            2
        } else {
            1
        };
        let mut bytes = Bytes::new(data);
        let mut expected = || -> Result<(String, String), Cause> {
            let correlation_id = bytes.string()?;
            bytes.long()?; // timestamp
            bytes.long()?; // timeout
            for _ in 0..names {
                bytes.string()?;
            }
            Ok((correlation_id, bytes.string()?))
        };
        let expected = expected();
        match decode_endpoint_event(kind, data) {
            Ok(event) => {
                assert_eq!(
                    expected,
                    Ok((event.correlation_id.into(), event.endpoint_id.into()))
                );
                let needed = &data[..data.len() - bytes.0.len()];
                assert_eq!(decode_endpoint_event(kind, needed), Ok(event));
            }
            Err(error) => {
                assert_eq!(expected, Err(error.cause));
                assert!(error.offset <= data.len());
            }
        }
    }
}

/// Splitting a batch and making entries: what comes out is JSON, and its index fits it.
pub fn document(data: &[u8]) {
    let mapping = FieldMapping::default();
    let mut covered = 0;
    for document in documents(data) {
        let Ok(document) = document else {
            covered = data.len();
            break;
        };
        covered += document.len();
        match from_bson(document, &mapping) {
            Ok(Stored::Endpoint(entry)) => check_entry(&entry, document, &mapping),
            Ok(Stored::Tombstone { .. }) => assert!(id_of(document, &mapping).is_some()),
            Err(_) => {}
        }
    }
    assert_eq!(covered, data.len());
}

fn check_entry(entry: &Entry, document: &[u8], mapping: &FieldMapping) {
    assert_eq!(id_of(document, mapping), Some(entry.id()));
    assert_eq!(entry.etag().is_some(), entry.version().is_some());
    assert!(entry.size() > entry.id().len() + entry.json().len());
    let members = members(entry.json());
    let mut scratch = Projection::new(0);
    for (key, value) in members.iter().take(20) {
        let alone = self::members(&projected(entry, &[key], &mut scratch));
        assert_eq!(alone, [(key.clone(), value.clone())].into_iter().collect());
    }
    let mut named = key_strings(entry, &mut scratch);
    named.sort();
    assert!(named.iter().eq(members.keys()));
    let mut all: Vec<&str> = members.keys().map(String::as_str).collect();
    if !all.is_empty() {
        assert_eq!(projected(entry, &all, &mut scratch), entry.json());
        all.reverse();
        assert_eq!(projected(entry, &all, &mut scratch), entry.json());
    }
}

fn key_strings(entry: &Entry, scratch: &mut Projection) -> Vec<String> {
    let keys = keys(entry, scratch);
    let mut bytes = Bytes::new(keys.items);
    let strings = (0..keys.count).map(|_| bytes.string().expect("is a string"));
    let strings = strings.collect();
    assert!(bytes.0.is_empty());
    strings
}

fn members(json: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.disable_recursion_limit();
    let value: serde_json::Value = serde::Deserialize::deserialize(&mut reader).expect("is JSON");
    reader.end().expect("is nothing but JSON");
    value.as_object().expect("is an object").clone()
}

/// Projecting: keys and names are made of the data, the oracle is a filter over the keys.
pub fn projection(data: &[u8]) {
    let (keys, names) = data.split_at(data.len() / 2);
    let mut keys = words(keys);
    let names = words(names);
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));

    let member = |key: &String| format!("{}:{}", serde_json::Value::from(key.as_str()), key.len());
    let object = |keys: Vec<&String>| {
        format!(
            "{{{}}}",
            keys.into_iter().map(member).collect::<Vec<_>>().join(",")
        )
    };
    let json = object(keys.iter().collect());
    let mut start = 1;
    let mut fields = Vec::new();
    for key in &keys {
        fields.push((key.as_str(), start));
        start += member(key).len() + 1;
    }
    let parts = Parts {
        id: "e",
        app_version: None,
        version: None,
        json: &json,
        fields: &fields,
    };
    let entry = Entry::new(&parts).expect("fits 32 bits");
    assert_eq!(key_strings(&entry, &mut Projection::new(0)), keys);
    let expected = object(
        keys.iter()
            .filter(|key| names.is_empty() || names.contains(key))
            .collect(),
    );
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        String::from_utf8(projected(&entry, &names, &mut Projection::new(0))),
        Ok(expected)
    );
}

/// Words over a small alphabet that has every kind of escape in it.
fn words(data: &[u8]) -> Vec<String> {
    const ALPHABET: [char; 8] = ['a', 'b', 'é', '"', '\\', '\n', '\u{1}', '/'];
    let word = |word: &[u8]| word.iter().map(|&byte| ALPHABET[usize::from(byte % 8)]).collect();
    if data.is_empty() {
        Vec::new()
    } else {
        data.split(|&byte| byte >= 0xC0).map(word).collect()
    }
}

/// Projects with the names in two blocks, the second with a count below zero and a wrong size.
fn projected(entry: &Entry, names: &[&str], scratch: &mut Projection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (first, second) = names.split_at(names.len() / 2);
    for (names, sign) in [(first, 1), (second, -1)] {
        if !names.is_empty() {
            put_long(&mut bytes, sign * names.len() as i64);
            if sign < 0 {
                put_long(&mut bytes, -7);
            }
            names.iter().for_each(|name| put_string(&mut bytes, name));
        }
    }
    put_long(&mut bytes, 0);
    let include = Strings::read(&mut Reader::new(&bytes)).expect("is well-formed");
    let payload = project(entry, &include, scratch);
    let text = payload.to_vec();
    assert_eq!(payload.len(), text.len());
    text
}
