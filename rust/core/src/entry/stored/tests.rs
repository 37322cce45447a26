//! Documents of our own, foreign and broken ones.

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    let length = (body.len() + Document::MIN_LEN) as i32;
    [&length.to_le_bytes(), body, &[0]].concat()
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

fn string(name: &str, text: &str) -> Vec<u8> {
    let length = (text.len() + 1) as i32;
    element(2, name, &[&length.to_le_bytes(), text.as_bytes(), &[0]].concat())
}

fn int32(name: &str, number: i32) -> Vec<u8> {
    element(0x10, name, &number.to_le_bytes())
}

fn null(name: &str) -> Vec<u8> {
    element(0x0A, name, &[])
}

/// `metadata` as an array of documents.
fn pairs(pairs: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let body: Vec<u8> = pairs
        .iter()
        .flat_map(|pair| element(3, "0", &framed(&pair.concat())))
        .collect();
    element(4, "metadata", &framed(&body))
}

fn stored(elements: &[Vec<u8>]) -> Result<Stored, DocumentError> {
    let id = string("_id", "e1");
    from_bson(
        &framed(&[id, elements.concat()].concat()),
        &FieldMapping::default(),
    )
}

fn entry(elements: &[Vec<u8>]) -> Entry {
    match stored(elements) {
        Ok(Stored::Endpoint(entry)) => entry,
        other => panic!("not an endpoint: {other:?}"),
    }
}

fn json(elements: &[Vec<u8>]) -> String {
    String::from_utf8(entry(elements).json().to_vec()).expect("JSON is UTF-8")
}

#[test]
fn our_own_documents() {
    let metadata = pairs(&[
        vec![string("key", "a"), int32("value", 1)],
        vec![string("key", "b\""), string("value", "x")],
    ]);
    let entry = entry(&[string("application_version", "v1"), int32("version", 7), metadata]);
    assert_eq!(
        (entry.id(), entry.app_version(), entry.etag()),
        ("e1", Some("v1"), Some("\"7\""))
    );
    assert_eq!(entry.json(), br#"{"a":1,"b\"":"x"}"#);
    assert_eq!(entry.fields().len(), 2);
}

#[test]
fn what_is_missing_or_null_is_taken_as_absent() {
    for elements in [
        vec![],
        ["metadata", "version", "application_version", "deleted_at"]
            .map(null)
            .to_vec(),
    ] {
        let entry = entry(&elements);
        assert_eq!(
            (entry.json(), entry.etag(), entry.app_version()),
            (&b"{}"[..], None, None)
        );
    }
    assert_eq!(json(&[pairs(&[vec![string("key", "a")]])]), r#"{"a":null}"#);
}

#[test]
fn metadata_may_be_a_plain_document() {
    let body = [int32("$id", 1), string("$ref", "c"), string("", "x")].concat();
    assert_eq!(
        json(&[element(3, "metadata", &framed(&body))]),
        r#"{"$id":1,"$ref":"c","":"x"}"#
    );
}

#[test]
fn repeated_keys_have_their_last_value_at_their_first_place() {
    let pair = |key, value| vec![string("key", key), int32("value", value)];
    assert_eq!(
        json(&[pairs(&[pair("a", 1), pair("b", 2), pair("a", 3)])]),
        r#"{"a":3,"b":2}"#
    );
}

#[test]
fn nested_documents_that_look_like_dbrefs_print_as_such() {
    let reference = [string("x", "y"), int32("$id", 1), string("$ref", "c")].concat();
    let metadata = pairs(&[vec![string("key", "a"), element(3, "value", &framed(&reference))]]);
    assert_eq!(json(&[metadata]), r#"{"a":{"$ref":"c","$id":1,"x":"y"}}"#);
    let unprintable = [int32("items", 1), int32("$id", 1), string("$ref", "c")].concat();
    let pair = |value| vec![string("key", "a"), value];
    let bad = pair(element(3, "value", &framed(&unprintable)));
    assert_eq!(
        stored(&[pairs(std::slice::from_ref(&bad))]),
        Err(DocumentError::Unprintable)
    );
    assert_eq!(
        json(&[pairs(&[bad, pair(int32("value", 1))])]),
        r#"{"a":1}"#,
        "replaced"
    );
}

#[test]
fn versions_are_integers() {
    let double = |value: f64| element(1, "version", &value.to_le_bytes());
    assert_eq!(entry(&[double(7.0)]).version(), Some(7));
    assert_eq!(
        entry(&[element(0x12, "version", &i64::MIN.to_le_bytes())]).version(),
        Some(i64::MIN)
    );
    for bad in [
        double(7.5),
        double(f64::NAN),
        double(9.3e18),
        string("version", "7"),
    ] {
        assert_eq!(stored(&[bad]), Err(DocumentError::Version));
    }
}

#[test]
fn deleted_endpoints_are_tombstones() {
    let deleted = element(9, "deleted_at", &[0; 8]);
    let tombstone = |version| Ok(Stored::Tombstone { version });
    assert_eq!(
        stored(&[deleted.clone(), int32("version", 3)]),
        tombstone(Some(3))
    );
    assert_eq!(
        stored(&[deleted.clone(), string("version", "x"), int32("metadata", 1)]),
        tombstone(None)
    );
    let malformed = element(3, "metadata", &framed(&[0x14, 0]));
    assert_eq!(stored(&[deleted, malformed]), Err(DocumentError::Malformed));
}

#[test]
fn unusable_documents_name_the_part() {
    for (elements, error) in [
        (
            vec![int32("application_version", 1)],
            DocumentError::ApplicationVersion,
        ),
        (vec![int32("metadata", 1)], DocumentError::Metadata),
        (
            vec![pairs(&[vec![int32("key", 1)]])],
            DocumentError::MetadataElement,
        ),
        (vec![pairs(&[vec![]])], DocumentError::MetadataElement),
        (
            vec![element(4, "metadata", &framed(&null("0")))],
            DocumentError::MetadataElement,
        ),
        (
            vec![element(2, "extra", &[2, 0, 0, 0, 0xff, 0])],
            DocumentError::Utf8,
        ),
        (vec![element(0x14, "extra", &[])], DocumentError::Malformed),
    ] {
        assert_eq!(stored(&elements), Err(error));
    }
    let without_id = framed(&int32("version", 1));
    assert_eq!(
        from_bson(&without_id, &FieldMapping::default()),
        Err(DocumentError::Id)
    );
}

#[test]
fn ids_are_found_as_far_as_the_document_can_be_read() {
    let mapping = FieldMapping {
        id: "endpoint".into(),
        ..FieldMapping::default()
    };
    let id = string("endpoint", "e1");
    let behind = framed(&[null("x"), id.clone(), element(0x14, "bad", &[])].concat());
    assert_eq!(id_of(&behind, &mapping), Some("e1"));
    assert_eq!(from_bson(&behind, &mapping), Err(DocumentError::Malformed));
    let before = framed(&[element(0x14, "bad", &[]), id].concat());
    assert_eq!(id_of(&before, &mapping), None);
    assert_eq!(id_of(&framed(&int32("endpoint", 1)), &mapping), None);
}

#[test]
fn names_of_fields_are_a_setting() {
    let mapping = FieldMapping {
        id: "endpoint".into(),
        metadata: "data".into(),
        application_version: "app".into(),
        version: "rev".into(),
        deleted_at: "gone".into(),
    };
    let data = element(3, "data", &framed(&int32("a", 1)));
    let body = [
        string("endpoint", "e"),
        data,
        string("app", "v"),
        int32("rev", 2),
        null("gone"),
    ]
    .concat();
    match from_bson(&framed(&body), &mapping) {
        Ok(Stored::Endpoint(entry)) => {
            assert_eq!(
                (entry.id(), entry.app_version(), entry.version()),
                ("e", Some("v"), Some(2))
            );
            assert_eq!(entry.json(), br#"{"a":1}"#);
        }
        other => panic!("not an endpoint: {other:?}"),
    }
}
