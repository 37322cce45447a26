//! JSON texts: the table that the pure engine is held to as well, and serde_json as another opinion.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use kaa_epr_core::change::parse::{JsonLimits, parse};
use kaa_epr_core::change::{RawValue, Reason};
use kaa_epr_core::json::Printer;
use proptest::prelude::*;
use serde_json::Value;

const LIMITS: JsonLimits = JsonLimits {
    max_depth: 97,
    envelope: 0,
    max_values: 10_000,
    seed: 3,
};

fn printed(value: &RawValue) -> String {
    let mut printer = Printer::default();
    let printable = printer.value(&value.value().expect("is well-formed"), 0);
    assert_eq!(printable, Ok(true));
    printer.out
}

fn text_of(case: &Value) -> Vec<u8> {
    if let Some(hex) = case["hex"].as_str() {
        let digits: Vec<char> = hex.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("is hexadecimal");
        return digits.chunks(2).map(byte).collect();
    }
    if let Some(parts) = case["parts"].as_array() {
        let part = |part: &Value| {
            let times = part[1].as_u64().expect("is a count") as usize;
            part[0].as_str().expect("is a text").repeat(times)
        };
        return parts.iter().map(part).collect::<String>().into_bytes();
    }
    case["text"].as_str().expect("is a text").as_bytes().to_vec()
}

#[test]
fn the_table() {
    let table: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/data/json_texts.json")).expect("is JSON");
    for case in &table {
        let limit = |name: &str, default| case[name].as_u64().unwrap_or(default) as u32;
        let limits = JsonLimits {
            max_depth: limit("max_depth", 32),
            envelope: limit("envelope", 0),
            max_values: limit("max_values", 1000),
            seed: 0,
        };
        let name = &case["name"];
        match (parse(&text_of(case), &limits), case["gives"].as_str()) {
            (Ok(value), Some(gives)) => assert_eq!(printed(&value), gives, "{name}"),
            (Err(fault), None) => {
                let kind = if fault.reason.is_too_large() {
                    "too_large"
                } else {
                    "invalid"
                };
                assert_eq!(case["refused"][0], kind, "{name}");
                assert_eq!(case["refused"][2], fault.reason.to_string(), "{name}");
                let path = case["refused"][1].as_str();
                let kept = path.map(|path| path.chars().take(122).collect());
                assert_eq!(fault.path, kept, "{name}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn names_that_collide_are_sorted() {
    let names: Vec<String> = (0..300).map(|number| format!("\"{number}\":0")).collect();
    let text = |names: &[String]| format!("{{{}}}", names.join(","));
    assert!(parse(text(&names).as_bytes(), &LIMITS).is_ok());
    let twice = [&names[..], &names[150..151]].concat();
    for seed in 0..20 {
        let limits = JsonLimits { seed, ..LIMITS };
        assert!(parse(text(&twice).as_bytes(), &limits).is_err());
    }
}

/// Parts that make almost JSON when put together.
const TOKENS: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-1",
    "-0.0",
    "1.5",
    "1e400",
    "2E+5",
    "01",
    "1.",
    "9223372036854775808",
    "true",
    "false",
    "null",
    "nul",
    "\"a\"",
    "\"b\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\x\"",
    "\"open",
    " ",
    "\n",
];

/// JSON, some of it spoilt.
fn texts() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("has a JSON form", |value| value.is_finite())
            .prop_map(|value| Value::from(value).to_string()),
        ".{0,8}".prop_map(|text| Value::from(text).to_string()),
    ];
    let json = scalar.prop_recursive(6, 60, 10, |inner| {
        let name = "[a-e]{0,2}".prop_map(|name| Value::from(name).to_string());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..10).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((name, inner), 0..12).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{name} : {value}"))
                    .collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    });
    let noise =
        prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..12).prop_map(|parts| parts.concat());
    let spoilt = (
        json.clone(),
        any::<prop::sample::Index>(),
        prop::sample::select(&TOKENS[..]),
    )
        .prop_map(|(text, at, token)| {
            let mut at = at.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            format!("{}{token}{}", &text[..at], &text[at..])
        });
    prop_oneof![4 => json, 2 => spoilt, 1 => noise]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is taken, serde_json takes too and reads the same from it; what is printed is read as the same value.
    #[test]
    fn what_is_taken_is_json(text in texts()) {
        let Ok(value) = parse(text.as_bytes(), &LIMITS) else {
            return Ok(());
        };
        let printed = printed(&value);
        let theirs: Value = serde_json::from_str(&text).expect("is JSON to others too");
        let ours: Value = serde_json::from_str(&printed).expect("is JSON");
        prop_assert!(alike(&theirs, &ours), "{text}: {printed}");
        prop_assert_eq!(parse(printed.as_bytes(), &LIMITS), Ok(value));
    }

    /// What is refused as no JSON at all, serde_json refuses too.
    #[test]
    fn what_is_no_json_is_none(text in texts()) {
        if let Err(fault) = parse(text.as_bytes(), &LIMITS)
            && fault.reason.to_string().contains("not JSON")
        {
            prop_assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}: {fault:?}");
        }
    }

    /// No bytes at all make it fail in any other way.
    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        match parse(&bytes, &LIMITS).map_err(|fault| fault.reason) {
            Ok(value) => prop_assert!(value.value().is_ok()),
            Err(Reason::Syntax(at) | Reason::Utf8(at) | Reason::Trailing(at)) => prop_assert!(at < bytes.len()),
            Err(_) => prop_assert!(std::str::from_utf8(&bytes).is_ok()),
        }
    }
}

/// Equal but for the last digits of doubles, in which serde_json may be wrong.
fn alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (
                left.as_f64().expect("is finite"),
                right.as_f64().expect("is finite"),
            );
            left.to_bits().abs_diff(right.to_bits()) <= 8 || left == right
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| alike(left, right)))
        }
        _ => left == right,
    }
}
