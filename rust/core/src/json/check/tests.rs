//! Texts that are JSON as it is stored, and texts that are not.

use super::*;

#[test]
fn values_without_whitespace_are_taken() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.50",
        "0.1",
        "1e5",
        "1E+05",
        "2e-7",
        "0e0",
        r#""""#,
        r#""a b\té\/\\""#,
        "\"\u{7f}\u{2028}\u{1F600}\"",
        r#""\ud800""#,
        r#""\uABcd\b\f\n\r\t\"""#,
        "[]",
        "{}",
        "[[]]",
        "[{},[]]",
        r#"{"":{}}"#,
        r#"{"a":1,"a":[null,true,"x"],"b":{"c":[]}}"#,
        "[0]",
        "[-1,2]",
    ] {
        assert!(is_compact_json(text), "{text}");
    }
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        " ",
        "null ",
        " null",
        "nul",
        "nulls",
        "NULL",
        "tru",
        "00",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1,",
        "NaN",
        "Infinity",
        r#"""#,
        r#""a"#,
        r#""a"b"#,
        r#""a""b""#,
        "\"a\n\"",
        "\"\u{0}\"",
        r#""\x""#,
        r#""\u12G4""#,
        r#""\u123""#,
        r#""\"#,
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 ]",
        "[1}",
        "{",
        "}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        r#"{"a":1]"#,
        "{1:2}",
        r#"{a:1}"#,
        r#"{"a" :1}"#,
        r#"{"a":1 }"#,
        "[]]",
        "[][]",
        "{}{}",
        "1 2",
        "\u{feff}1",
        "//",
        "'a'",
        "[1;2]",
    ] {
        assert!(!is_compact_json(text), "{text}");
    }
}

#[test]
fn depth_is_bounded_and_does_not_recurse() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let most = MAX_EVENT_DEPTH as usize;
    assert!(is_compact_json(&nested(most)) && !is_compact_json(&nested(most + 1)));
    let objects = |depth: usize| format!("{}1{}", r#"{"k":"#.repeat(depth), "}".repeat(depth));
    assert!(is_compact_json(&objects(most)) && !is_compact_json(&objects(most + 1)));
    let empty = |depth: usize| format!("{}{{}}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(is_compact_json(&empty(most - 1)) && !is_compact_json(&empty(most)));
    assert!(!is_compact_json(&"[".repeat(1 << 20)));
}

#[test]
fn kinds_of_brackets_are_told_apart_at_every_depth() {
    let opening = "[{\"k\":".repeat(40);
    assert!(is_compact_json(&format!("{opening}0{}", "}]".repeat(40))));
    assert!(!is_compact_json(&format!("{opening}0{}", "]}".repeat(40))));
}

#[test]
fn it_agrees_with_serde_json_on_all_short_texts() {
    const ALPHABET: &[u8] = b"[]{}\":,01-.e\\u";
    let mut texts = vec![String::new()];
    for _ in 0..5 {
        texts = texts
            .iter()
            .flat_map(|text| {
                ALPHABET
                    .iter()
                    .map(move |&byte| format!("{text}{}", char::from(byte)))
            })
            .collect();
        for text in &texts {
            // Surrogates and huge exponents, which serde_json refuses, do not fit so few bytes.
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            assert_eq!(is_compact_json(text), expected, "{text}");
        }
    }
}
