//! How long the worst texts take. By hand: `cargo test --release -p kaa-epr-core --test intake_speed -- --ignored
//! --nocapture`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use kaa_epr_core::change::parse::{JsonLimits, parse};
use std::time::Instant;

const LIMITS: JsonLimits = JsonLimits {
    max_depth: 97,
    envelope: 1,
    max_values: u32::MAX,
    seed: 7,
};
const MIB: usize = 1024 * 1024;

/// `text` repeated to 1 MiB between brackets.
fn filled(open: &str, close: &str, part: impl Fn(usize) -> String) -> String {
    let mut text = String::from(open);
    let mut number = 0;
    while text.len() < MIB - 100 {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&part(number));
        number += 1;
    }
    text.push_str(close);
    text
}

#[test]
#[ignore = "a measurement, made by hand"]
fn texts_of_a_mebibyte() {
    let array = |part: &str| filled("[", "]", |_| part.to_owned());
    let texts = [
        (
            "ordinary",
            filled("{", "}", |n| {
                format!(
                    r#""sensor-{n}":{{"model":"SM-200","room":"north wing","temperature":21.5,"online":true,"uptime":86400}}"#
                )
            }),
        ),
        ("one string", format!("\"{}\"", "x".repeat(MIB - 2))),
        ("escapes", array(&format!("\"{}\"", r"\u0041".repeat(1000)))),
        ("newlines", array(&format!("\"{}\"", r"\n".repeat(1000)))),
        ("zeros", array("0")),
        ("nulls", array("null")),
        ("empty arrays", array("[]")),
        ("empty objects", array("{}")),
        ("doubles", array("1.5")),
        ("17 digits", array("0.12345678901234567")),
        ("halfway", array("9007199254740993.0000000000000000001e-300")),
        (
            "halfway, 40 digits",
            array("1.797693134862315807000000000000000000001e-300"),
        ),
        (
            "long doubles",
            array(&format!("0.{}1e-290", "123456789".repeat(84))),
        ),
        ("one double", format!("0.{}", "1".repeat(MIB - 2))),
        ("names", filled("{", "}", |n| format!("\"{n:x}\":0"))),
        (
            "long names",
            filled("{", "}", |n| format!("\"{}{n:06}\":0", "n".repeat(1000))),
        ),
        ("small objects", array(r#"{"a":0,"b":0}"#)),
        (
            "8 names",
            array(r#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0}"#),
        ),
        (
            "9 names",
            array(r#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0}"#),
        ),
        ("deep", array(&format!("{}{}", "[".repeat(90), "]".repeat(90)))),
        ("blanks", format!("{}0", " ".repeat(MIB))),
    ];
    for (name, text) in texts {
        let mut best = f64::INFINITY;
        let mut size = 0;
        for _ in 0..5 {
            let begun = Instant::now();
            let value = parse(text.as_bytes(), &LIMITS).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            best = best.min(begun.elapsed().as_secs_f64());
            size = value.bytes().len();
        }
        let rate = text.len() as f64 / 1e6 / best;
        println!(
            "{name:20} {:8.2} ms {rate:8.0} MB/s  BSON {size:9} bytes",
            best * 1e3
        );
    }
}
