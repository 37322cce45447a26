//! What filters cost: one evaluation, a set of a thousand, a set of a hundred thousand. One JSON object on the output;
//! times in nanoseconds, each the least of several rounds, so that a busy machine adds little.
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use kaa_epr_core::bson::write;
use kaa_epr_core::filter::{Change, Filter, FilterSet, Limits};

type Fields<'a> = &'a dyn Fn(&mut Vec<u8>);

fn document(fields: Fields<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let open = write::open(&mut out);
    fields(&mut out);
    write::close(&mut out, open);
    out
}

fn inner(out: &mut Vec<u8>, kind: u8, name: &str, fields: Fields<'_>) {
    write::put_name(out, kind, name);
    let open = write::open(out);
    fields(out);
    write::close(out, open);
}

const DOCUMENT: u8 = write::kind::DOCUMENT;

/// An endpoint with keys `key0` … `key9`, the values texts and numbers by turns, as the register writes it.
fn endpoint(city: usize) -> Vec<u8> {
    document(&|out| {
        write::put_string(out, "_id", "0f8fad5b-d9cb-469f-a165-70867728950e");
        write::put_string(out, "application", "thermostat");
        write::put_string(out, "application_version", "thermostat-v1");
        write::put_string(out, "endpoint_token", "qfBiXmCzPLgWbTTtcDhp");
        inner(out, write::kind::ARRAY, "metadata", &|out| {
            for number in 0..10 {
                inner(out, DOCUMENT, &number.to_string(), &|out| {
                    write::put_string(out, "key", &format!("key{number}"));
                    if number % 2 == 0 {
                        write::put_string(out, "value", &format!("city{}", city + number));
                    } else {
                        write::put_int32(out, "value", number as i32);
                    }
                });
            }
        });
        write::put_int64(out, "version", 7);
    })
}

/// `{metadata: {$elemMatch: {key, value}}}`; the value by `put`.
fn put_pair(out: &mut Vec<u8>, name: &str, key: &str, value: Fields<'_>) {
    inner(out, DOCUMENT, name, &|out| {
        inner(out, DOCUMENT, "$elemMatch", &|out| {
            write::put_string(out, "key", key);
            value(out);
        });
    });
}

fn filter(query: &[u8]) -> Filter {
    Filter::new(query, &Limits::default()).expect("is accepted")
}

/// A version, and a key with a value that is equal.
fn version_and_value(version: &str, key: &str, value: &str) -> Filter {
    filter(&document(&|out| {
        write::put_string(out, "application_version", version);
        put_pair(out, "metadata", key, &|out| {
            write::put_string(out, "value", value)
        });
    }))
}

/// Two keys: the value of one is equal, that of the other greater.
fn two_values(value: &str, above: i32) -> Filter {
    filter(&document(&|out| {
        inner(out, write::kind::ARRAY, "$and", &|out| {
            inner(out, DOCUMENT, "0", &|out| {
                put_pair(out, "metadata", "key4", &|out| {
                    write::put_string(out, "value", value)
                });
            });
            inner(out, DOCUMENT, "1", &|out| {
                put_pair(out, "metadata", "key7", &|out| {
                    inner(out, DOCUMENT, "value", &|out| write::put_int32(out, "$gt", above));
                });
            });
        });
    }))
}

fn expression(key: &str, pattern: &str) -> Filter {
    filter(&document(&|out| {
        put_pair(out, "metadata", key, &|out| {
            inner(out, DOCUMENT, "value", &|out| {
                write::put_string(out, "$regex", pattern)
            });
        });
    }))
}

/// Nanoseconds of one call: the least of many rounds, each short enough that some are not interrupted.
fn time<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..1000 {
        let begun = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        least = least.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    least
}

fn evaluations(stored: &[u8]) -> Vec<(&'static str, f64)> {
    let cases = [
        (
            "version_and_value_match",
            version_and_value("thermostat-v1", "key4", "city4"),
            true,
        ),
        (
            "version_and_value_differ_in_value",
            version_and_value("thermostat-v1", "key4", "x"),
            false,
        ),
        (
            "version_and_value_differ_in_version",
            version_and_value("thermostat-v2", "key4", "city4"),
            false,
        ),
        ("two_values_match", two_values("city4", 5), true),
        ("two_values_differ_in_the_second", two_values("city4", 9), false),
        ("expression_match", expression("key4", r"^city\d+$"), true),
    ];
    let timed = cases.into_iter().map(|(name, filter, expected)| {
        assert_eq!(filter.matches(stored), Ok(expected), "{name}");
        (name, time(200, || filter.matches(black_box(stored))))
    });
    timed.collect()
}

fn main() {
    let stored = endpoint(0);
    let mut figures = evaluations(&stored);

    let thousand: Vec<_> = (0..1000)
        .map(|number| Arc::new(two_values(&format!("city{number}"), 5)))
        .collect();
    let thousand = FilterSet::new(thousand);
    figures.push(("thousand_all_evaluated", time(1, || thousand.verdicts(&stored))));

    let many: Vec<_> = (0..100_000)
        .map(|number| {
            let (key, value) = (format!("key{}", number % 1000), format!("city{}", number / 1000));
            Arc::new(version_and_value("thermostat-v1", &key, &value))
        })
        .collect();
    let many = FilterSet::new(many);
    assert_eq!(many.matching(&stored), Ok(vec![0, 2002, 4004, 6006, 8008]));
    figures.push(("hundred_thousand_preselected", time(1, || many.matching(&stored))));
    let (other, change) = (endpoint(1), ["key4"]);
    let change = Change {
        keys: &change,
        application_version: false,
    };
    figures.push((
        "hundred_thousand_one_key_changed",
        time(1, || many.changes(Some(&stored), Some(&other), &change)),
    ));

    let figures: Vec<_> = figures
        .iter()
        .map(|(name, ns)| format!("\"{name}\": {ns:.1}"))
        .collect();
    println!("{{{}}}", figures.join(", "));
}
