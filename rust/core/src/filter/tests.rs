//! Whole filters. That the language is mongod's is tested from Python, with mongod itself.

use super::*;
use crate::bson::write;
use serde_json::Value as Json;

mod explanations;
mod refusals;
mod sets;

/// BSON of a JSON value; fields in alphabetical order.
fn put(out: &mut Vec<u8>, name: &str, value: &Json) {
    match value {
        Json::Null => write::put_null(out, name),
        Json::Bool(value) => write::put_boolean(out, name, *value),
        Json::String(text) => write::put_string(out, name, text),
        Json::Number(number) => match (number.as_i64().map(i32::try_from), number.as_i64()) {
            (Some(Ok(small)), _) => write::put_int32(out, name, small),
            (_, Some(large)) => write::put_int64(out, name, large),
            _ => {
                write::put_name(out, write::kind::DOUBLE, name);
                out.extend(number.as_f64().expect("is a number").to_le_bytes());
            }
        },
        Json::Array(items) => {
            write::put_name(out, write::kind::ARRAY, name);
            let open = write::open(out);
            for (index, item) in items.iter().enumerate() {
                put(out, &index.to_string(), item);
            }
            write::close(out, open);
        }
        Json::Object(fields) => {
            write::put_name(out, write::kind::DOCUMENT, name);
            let open = write::open(out);
            fields.iter().for_each(|(name, value)| put(out, name, value));
            write::close(out, open);
        }
    }
}

/// A document of JSON text.
fn bson(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, "", &serde_json::from_str(json).expect("is JSON"));
    out.split_off(2)
}

fn filter(json: &str) -> Filter {
    Filter::new(&bson(json), &Limits::default()).expect("is accepted")
}

/// An endpoint with these keys and values.
fn endpoint(version: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let pairs: Vec<_> = metadata
        .iter()
        .map(|(key, value)| format!(r#"{{"key": "{key}", "value": {value}}}"#))
        .collect();
    bson(&format!(
        r#"{{"_id": "e1", "application_version": "{version}", "metadata": [{}]}}"#,
        pairs.join(",")
    ))
}
