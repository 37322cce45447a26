//! Differences of metadata, and what they print.

use super::*;
use crate::bson::write;
use crate::change::RawValue;

fn int32(value: i32) -> RawValue {
    RawValue::new(kind::INT32, value.to_le_bytes())
}

fn int64(value: i64) -> RawValue {
    RawValue::new(kind::INT64, value.to_le_bytes())
}

fn metadata<'a>(values: &'a [(String, RawValue)]) -> Metadata<'a> {
    Metadata::new(
        values
            .iter()
            .map(|(key, value)| Item::borrowed(key, value.as_raw()))
            .collect(),
    )
}

fn values(of: &[(&str, RawValue)]) -> Vec<(String, RawValue)> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

#[test]
fn keys_are_told_in_one_of_three_ways() {
    let old = values(&[
        ("gone", RawValue::null()),
        ("kept", int64(1)),
        ("new", int32(2)),
        ("text", RawValue::string("x")),
    ]);
    let new = values(&[
        ("more", RawValue::string("\"")),
        ("new", int32(3)),
        ("kept", int32(1)),
        ("text", RawValue::null()),
    ]);
    let (old, new) = (metadata(&old), metadata(&new));
    let diff = Diff::between(&old, &new, 1).expect("has JSON forms");
    let text = |text: &Text| text.clone().map(|range| diff.texts[range].to_owned());
    let told = |told: &[Told]| -> Vec<_> {
        told.iter()
            .map(|each| (each.at, text(&each.new), text(&each.old)))
            .collect()
    };
    assert_eq!(told(&diff.added), [(0, Some(r#""\"""#.to_owned()), None)]);
    assert_eq!(told(&diff.removed), [(0, None, None)]);
    let updated = [
        (1, Some("3".to_owned()), Some("2".to_owned())),
        (3, None, Some(r#""x""#.to_owned())),
    ];
    assert_eq!(told(&diff.updated), updated);
    assert!(diff.exact && !diff.is_empty());
    let touched: Vec<_> = diff.touched(&old, &new).collect();
    assert_eq!(touched, ["more", "new", "text", "gone"]);
    let merged = diff.merged(&old, &new);
    let keys: Vec<_> = merged.items().iter().map(|item| &*item.key).collect();
    assert_eq!(keys, ["kept", "new", "text", "more"]);
    assert_eq!(merged.items()[0].kind, kind::INT64, "what is stored stays");
}

#[test]
fn what_has_no_json_form_is_told_as_null_or_refused() {
    let mut reference = Vec::new();
    let open = write::open(&mut reference);
    for name in ["$ref", "$id", "items"] {
        write::put_string(&mut reference, name, "x");
    }
    write::close(&mut reference, open);
    let odd = values(&[("k", RawValue::new(kind::DOCUMENT, reference))]);
    let plain = values(&[("k", int32(1))]);
    let (odd, plain) = (metadata(&odd), metadata(&plain));
    let diff = Diff::between(&odd, &plain, 1).expect("the new one has");
    assert!(!diff.exact && diff.updated[0].old.is_none());
    let refused = Diff::between(&plain, &odd, 1).expect_err("has none");
    assert_eq!(refused, Refusal::invalid("metadata.k", NO_JSON));
    assert!(Diff::between(&odd, &odd, 1).expect("is the same").is_empty());
    assert!(
        !Diff::between(&odd, &Metadata::default(), 1)
            .expect("is gone")
            .exact
    );
}

#[test]
fn many_keys_are_found_wherever_they_stand() {
    let old: Vec<_> = (0..500).map(|n| (format!("k{n}"), int32(n))).collect();
    let mut new = old.clone();
    new.reverse();
    let (old, new) = (metadata(&old), metadata(&new));
    assert!(Diff::between(&old, &new, 1).expect("has JSON forms").is_empty());
    assert_eq!(
        Diff::between(&old, &Metadata::default(), 1)
            .expect("has JSON forms")
            .removed
            .len(),
        500
    );
}
