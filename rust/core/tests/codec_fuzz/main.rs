//! The fuzz targets on stable Rust: each runs for some seconds on mutations of well-formed messages.
//!
//! A failure prints its seed and input; `CODEC_SEED=N` replays the run that starts from N, and
//! `CODEC_SECONDS=N` makes it longer.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../../fuzz/src/applied.rs"]
mod applied;
#[path = "../../../fuzz/src/filters.rs"]
mod filters;
#[path = "../../../fuzz/src/patches.rs"]
mod patches;
#[path = "../../../fuzz/src/reads.rs"]
mod reads;
#[path = "../../../fuzz/src/reference.rs"]
mod reference;
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

mod made;
mod operations;
mod queries;

use kaa_epr_core::avro::{put_long, put_string};
use kaa_epr_core::epmmp::get_request::NewGetRequest;
use kaa_epr_core::epmmp::{GetResponse, Payload, Revision, Shape};
use made::stored;
use operations::patched;
use queries::query;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Sebastiano Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }
}

/// Bytes that decoders find interesting: ends of varints, lengths, counts, BSON types.
const TELLING: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x0A, 0x0F, 0x10, 0x12, 0x13, 0x7F, 0x80, 0x81, 0xFF,
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(5) {
        let at = random.below(data.len());
        match random.below(7) {
            0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            1 if !data.is_empty() => data[at] = TELLING[random.below(TELLING.len())],
            2 => data.truncate(at),
            3 => data.insert(at, TELLING[random.below(TELLING.len())]),
            4 if !data.is_empty() => drop(data.remove(at)),
            5 => data.splice(at..at, random.bytes(12)).for_each(drop),
            _ => {
                let other = &corpus[random.below(corpus.len())];
                data.truncate(at);
                data.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    data
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|value| value.parse().expect("is a number"))
}

/// Drives a target until its time is up; every input has a seed of its own.
fn drive(target: fn(&[u8]), corpus: &[Vec<u8>]) {
    corpus.iter().for_each(|data| target(data));
    let mut seed = number("CODEC_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let end = Instant::now() + Duration::from_secs(number("CODEC_SECONDS").unwrap_or(2));
    while Instant::now() < end {
        let data = mutate(&mut Random(seed), corpus);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&data))) {
            eprintln!("CODEC_SEED={seed} input: {data:02x?}");
            resume_unwind(panic);
        }
        seed = seed.wrapping_add(1);
    }
}

#[test]
fn get_requests() {
    let mut corpus = Vec::new();
    let long = "x".repeat(4097);
    for shape in [
        Shape::Plain,
        Shape::WithFlag {
            include_metadata: true,
        },
    ] {
        for (correlation_id, include) in [("c-1", &[][..]), ("ü", &["a", "temperature"]), (&long, &["a"])] {
            let (timestamp, timeout, endpoint_id) = (1_700_000_000_000, 5000, "endpoint-1");
            let get = NewGetRequest {
                correlation_id,
                timestamp,
                timeout,
                endpoint_id,
                include,
                shape,
            };
            corpus.push(Vec::new());
            get.encode(corpus.last_mut().expect("was just pushed"));
        }
    }
    // Two blocks, one of them with a size.
    corpus.push(vec![
        2, b'c', 2, 0, 2, b'e', 2, 2, b'a', 3, 4, 2, b'b', 2, b'c', 0, 1,
    ]);
    drive(targets::get_request, &corpus);
}

#[test]
fn other_requests() {
    let (long, edge) = ("x".repeat(4097), "x".repeat(4096));
    let mut corpus = Vec::new();
    for (correlation_id, endpoint_id) in [
        ("c-1", "e-1"),
        ("ü", ""),
        (&long, "e"),
        ("c", &long),
        ("c", &edge),
    ] {
        let head = |out: &mut Vec<u8>| {
            put_string(out, correlation_id);
            out.extend([2, 10]);
        };
        let mut keys_get = Vec::new();
        head(&mut keys_get);
        put_string(&mut keys_get, endpoint_id);
        let mut app_versions = Vec::new();
        head(&mut app_versions);
        put_long(&mut app_versions, 2);
        put_string(&mut app_versions, endpoint_id);
        put_string(&mut app_versions, "e-2");
        app_versions.extend([3, 4, 2, b'b', 2, b'c', 0]);
        corpus.extend([keys_get, app_versions]);
    }
    for count in [1000_u16, 1001] {
        let mut many = vec![2, b'c', 2, 0];
        put_long(&mut many, count.into());
        many.extend((0..=count).map(|_| 0));
        corpus.push(many);
    }
    drive(reads::other_requests, &corpus);
}

#[test]
fn get_responses() {
    let mut corpus = Vec::new();
    for revision in [Revision::One, Revision::Two, Revision::Three] {
        for payload in [None, Some(Payload::Whole(br#"{"a":1}"#))] {
            let answer = GetResponse {
                correlation_id: "c-1",
                timestamp: 1_700_000_000_000,
                endpoint_id: "endpoint-1",
                etag: Some("\"7\""),
                payload,
                status: 200,
                reason: None,
                app_version: Some("v1"),
            };
            corpus.push(Vec::new());
            answer.encode(revision, corpus.last_mut().expect("was just pushed"));
        }
    }
    drive(targets::get_response, &corpus);
}

#[test]
fn events() {
    let registered = vec![2, b'c', 2, 0, 2, b'v', 4, b'e', b'1', 2, b'r'];
    let app_version_updated = vec![2, b'c', 2, 0, 2, b'v', 2, b'u', 4, b'e', b'1', 2, b'r'];
    drive(targets::event, &[registered, app_version_updated]);
}

#[test]
fn applied_events() {
    let corpus = applied::corpus();
    assert!(corpus.iter().all(|event| applied::fits(event)));
    drive(applied::applied, &corpus);
}

#[test]
fn documents() {
    let mut random = Random(number("CODEC_SEED").unwrap_or(1));
    let corpus: Vec<_> = (0..300).map(|_| stored(&mut random)).collect();
    drive(targets::document, &corpus);
}

#[test]
fn filters() {
    let mut random = Random(number("CODEC_SEED").unwrap_or(1));
    let pair = |random: &mut Random| [query(random, 2), stored(random), stored(random)].concat();
    let corpus: Vec<_> = (0..300).map(|_| pair(&mut random)).collect();
    drive(filters::filter, &corpus);
}

#[test]
fn patches_of_metadata() {
    let mut random = Random(number("CODEC_SEED").unwrap_or(1));
    let corpus: Vec<_> = (0..300).map(|_| patched(&mut random)).collect();
    drive(patches::patch, &corpus);
}

#[test]
fn projections() {
    let mut random = Random(number("CODEC_SEED").unwrap_or(1));
    let corpus: Vec<_> = (0..100).map(|size| random.bytes(size * size / 10)).collect();
    drive(targets::projection, &corpus);
}
