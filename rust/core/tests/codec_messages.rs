//! Properties of gets, answers and events: what is encoded decodes to the same.
#![allow(clippy::expect_used, missing_docs)]

use kaa_epr_core::avro::{put_long, put_string};
use kaa_epr_core::epmmp::get_request::{self, NewGetRequest};
use kaa_epr_core::epmmp::{GetResponse, Payload, Revision, Shape};
use kaa_epr_core::events::{EndpointEvent, EventKind, decode_endpoint_event};
use proptest::prelude::*;

fn shape() -> impl Strategy<Value = Shape> {
    prop::option::of(any::<bool>()).prop_map(|flag| {
        flag.map_or(Shape::Plain, |include_metadata| Shape::WithFlag {
            include_metadata,
        })
    })
}

fn revision() -> impl Strategy<Value = Revision> {
    prop::sample::select(vec![Revision::One, Revision::Two, Revision::Three])
}

/// `include` as blocks of these names, each with a count below zero and some size, or without.
fn put_blocks(out: &mut Vec<u8>, blocks: &[(Vec<String>, Option<i64>)]) {
    for (names, size) in blocks.iter().filter(|(names, _)| !names.is_empty()) {
        let count = names.len() as i64;
        match size {
            Some(size) => {
                put_long(out, -count);
                put_long(out, *size);
            }
            None => put_long(out, count),
        }
        names.iter().for_each(|name| put_string(out, name));
    }
    put_long(out, 0);
}

proptest! {
    #[test]
    fn gets_come_back(
        ids in (".{0,50}", ".{0,50}"),
        times in (any::<i64>(), any::<i64>()),
        include in prop::collection::vec(".{0,10}", 0..10),
        shape in shape(),
    ) {
        let include: Vec<&str> = include.iter().map(String::as_str).collect();
        let new = NewGetRequest {
            correlation_id: &ids.0,
            timestamp: times.0,
            timeout: times.1,
            endpoint_id: &ids.1,
            include: &include,
            shape,
        };
        let mut bytes = Vec::new();
        new.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), new.encoded_len());
        let get = get_request::decode(&bytes).expect("was encoded");
        prop_assert_eq!((get.correlation_id, get.endpoint_id), (ids.0.as_str(), ids.1.as_str()));
        prop_assert_eq!((get.timestamp, get.timeout, get.shape), (times.0, times.1, shape));
        prop_assert_eq!(get.include.iter().collect::<Vec<_>>(), include);
    }

    #[test]
    fn include_reads_the_same_however_it_is_cut_into_blocks(
        blocks in prop::collection::vec(
            (prop::collection::vec(".{0,5}", 0..4), prop::option::of(any::<i64>())),
            0..5,
        ),
    ) {
        let mut bytes = vec![2, b'c', 0, 0, 2, b'e'];
        put_blocks(&mut bytes, &blocks);
        let get = get_request::decode(&bytes).expect("is well-formed");
        let names: Vec<&str> = blocks.iter().flat_map(|(names, _)| names).map(String::as_str).collect();
        prop_assert_eq!(get.include.len(), names.len());
        prop_assert_eq!(get.include.is_empty(), names.is_empty());
        prop_assert_eq!(get.include.iter().collect::<Vec<_>>(), names);
    }

    #[test]
    fn answers_come_back_in_what_their_revision_has(
        revision in revision(),
        ids in (".{0,50}", ".{0,50}"),
        numbers in (any::<i64>(), any::<i32>()),
        texts in prop::array::uniform3(prop::option::of(".{0,20}")),
        payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
    ) {
        let [etag, reason, app_version] = &texts;
        let answer = GetResponse {
            correlation_id: &ids.0,
            timestamp: numbers.0,
            endpoint_id: &ids.1,
            etag: etag.as_deref(),
            payload: payload.as_deref().map(Payload::Whole),
            status: numbers.1,
            reason: reason.as_deref(),
            app_version: app_version.as_deref(),
        };
        let mut bytes = Vec::new();
        answer.encode(revision, &mut bytes);
        prop_assert_eq!(bytes.len(), answer.encoded_len(revision));
        let decoded = GetResponse::decode(revision, &bytes).expect("was encoded");
        prop_assert_eq!((decoded.correlation_id, decoded.endpoint_id), (ids.0.as_str(), ids.1.as_str()));
        prop_assert_eq!((decoded.timestamp, decoded.status), numbers);
        prop_assert_eq!(decoded.payload.map(|payload| payload.to_vec()), payload.clone());
        prop_assert_eq!(decoded.reason, reason.as_deref());
        prop_assert_eq!(decoded.etag, etag.as_deref().filter(|_| revision >= Revision::Two));
        prop_assert_eq!(decoded.app_version, app_version.as_deref().filter(|_| revision == Revision::Three));
    }

    #[test]
    fn events_name_their_endpoint_whatever_follows(
        kind in prop::sample::select(EventKind::ALL.to_vec()),
        ids in (".{0,50}", ".{0,50}"),
        tail in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let (correlation_id, endpoint_id) = (ids.0.as_str(), ids.1.as_str());
        let versions: &[&str] = if kind == EventKind::AppVersionUpdated { &["v2", "v1"] } else { &["v1"] };
        let mut bytes = Vec::new();
        put_string(&mut bytes, correlation_id);
        put_long(&mut bytes, 1_700_000_000_000);
        put_long(&mut bytes, 0);
        versions.iter().for_each(|version| put_string(&mut bytes, version));
        put_string(&mut bytes, endpoint_id);
        let needed = bytes.len();
        bytes.extend(tail);
        prop_assert_eq!(decode_endpoint_event(kind, &bytes), Ok(EndpointEvent { correlation_id, endpoint_id }));
        prop_assert!(decode_endpoint_event(kind, &bytes[..needed - 1]).is_err());
    }
}
