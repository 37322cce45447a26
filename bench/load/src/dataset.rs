//! The endpoints of a run: made from a seed, or read from a file.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::args::DatasetArgs;

/// The version that every endpoint is stored with.
pub const VERSION: i64 = 1;

/// One endpoint: its id and its metadata in stored order, the values as JSON text.
pub struct Endpoint {
    /// Endpoint id.
    pub id: String,
    /// Key and JSON text of each metadata field.
    pub metadata: Vec<(String, String)>,
}

/// A line of the endpoints file: the Mongo document with the default field names.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    application: &'a str,
    application_version: &'a str,
    version: i64,
    #[serde(borrow)]
    metadata: Vec<Field<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Field<'a> {
    key: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// SplitMix64 (Steele, Lea, Flood 2014): a good 64-bit number from any counter.
pub fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The id of endpoint `index`, shaped like a version 4 UUID as Kaa's are.
pub fn id(seed: u64, index: u64) -> String {
    let (high, low) = (mix(seed, 2 * index), mix(seed, 2 * index + 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// Endpoint `index` of the dataset.
pub fn endpoint(args: &DatasetArgs, index: u64) -> Endpoint {
    let base = mix(!args.seed, index);
    let mut metadata: Vec<(String, String)> = (0..args.fields)
        .map(|number| (key(number), value(number, base, index)))
        .collect();
    pad(&mut metadata, args.bytes as usize, base);
    Endpoint {
        id: id(args.seed, index),
        metadata,
    }
}

const NAMES: [&str; 10] = [
    "name",
    "model",
    "serial",
    "firmware",
    "location",
    "installedAt",
    "active",
    "signal",
    "tags",
    "note",
];

fn key(number: u32) -> String {
    match NAMES.get(number as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("attribute{number:03}"),
    }
}

/// JSON text of a field; doubles neither end in `.0` nor need an exponent, where JSON printers differ.
fn value(number: u32, base: u64, index: u64) -> String {
    let random = mix(base, u64::from(number));
    let odd = |range: u64| (random % range) * 2 + 1;
    match number % 10 {
        0 => format!("\"device-{index:07}\""),
        1 => format!("\"TH-{}\"", random % 900 + 100),
        2 => format!("\"{random:016x}\""),
        3 => format!("\"{}.{}.{}\"", random % 9, random / 9 % 30, random / 270 % 99),
        4 => {
            let degrees = |range| (1_000_000 + odd(range)) as f64 / 1e6;
            let (lat, lon) = (degrees(40_000_000), degrees(85_000_000));
            format!("{{\"lat\":{lat:?},\"lon\":{lon:?}}}")
        }
        5 => (1_500_000_000_000 + random % 200_000_000_000).to_string(),
        6 => (random & 1 == 0).to_string(),
        7 => format!("{:?}", -(odd(50_000) as f64) / 1000.0),
        8 => format!("[\"zürich\",\"floor-{}\"]", random % 40),
        _ => format!("\"{:04x}\"", random & 0xffff),
    }
}

/// Lengthens the string fields evenly until the whole is `bytes` long as compact JSON.
fn pad(metadata: &mut [(String, String)], bytes: usize, base: u64) {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz 01234";
    let size: usize = 1 + metadata
        .iter()
        .map(|(key, value)| key.len() + value.len() + 4)
        .sum::<usize>();
    let mut missing = bytes.saturating_sub(size);
    let mut strings: Vec<&mut String> = metadata
        .iter_mut()
        .map(|(_, value)| value)
        .filter(|value| value.starts_with('"'))
        .collect();
    let count = strings.len();
    for (done, text) in strings.iter_mut().enumerate() {
        let share = missing.div_ceil(count - done);
        missing -= share;
        text.pop();
        for position in 0..share {
            let random = mix(base ^ done as u64, position as u64);
            text.push(char::from(LETTERS[(random % 32) as usize]));
        }
        text.push('"');
    }
}

/// Prints the dataset, one document a line.
pub fn write_lines(args: &DatasetArgs, out: &mut impl Write) -> Result<()> {
    for index in 0..u64::from(args.endpoints) {
        let endpoint = endpoint(args, index);
        let values: Vec<Box<RawValue>> = endpoint
            .metadata
            .iter()
            .map(|(_, value)| RawValue::from_string(value.clone()))
            .collect::<Result<_, _>>()?;
        let fields = endpoint.metadata.iter().zip(&values);
        let line = Line {
            id: &endpoint.id,
            application: "bench",
            application_version: "bench-v1",
            version: VERSION,
            metadata: fields
                .map(|((key, _), value)| Field {
                    key: key.clone(),
                    value,
                })
                .collect(),
        };
        match serde_json::to_writer(&mut *out, &line)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
    }
    Ok(())
}

/// Reads a file as `write_lines` prints it; the values' JSON must be compact, since answers are compared
/// with its text.
pub fn read_file(path: &Path, mut each: impl FnMut(Endpoint) -> Result<()>) -> Result<()> {
    let name = path.display();
    let file = BufReader::new(File::open(path).with_context(|| format!("cannot read {name}"))?);
    let mut any = false;
    for (number, line) in file.lines().enumerate() {
        let text = line?;
        let line: Line =
            serde_json::from_str(&text).with_context(|| format!("{name}, line {}", number + 1))?;
        let metadata = line
            .metadata
            .into_iter()
            .map(|field| (field.key, field.value.get().to_owned()))
            .collect();
        each(Endpoint {
            id: line.id.to_owned(),
            metadata,
        })?;
        any = true;
    }
    if !any {
        bail!("{name} names no endpoint");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(fields: u32, bytes: u32) -> DatasetArgs {
        DatasetArgs {
            endpoints: 50,
            fields,
            bytes,
            seed: 7,
        }
    }

    #[test]
    fn metadata_has_the_size_asked_for() {
        for (fields, bytes) in [(10, 300), (10, 3000), (25, 30_000)] {
            let made = endpoint(&args(fields, bytes), 3);
            let text: Vec<String> = made
                .metadata
                .iter()
                .map(|(k, v)| format!("\"{k}\":{v}"))
                .collect();
            let json = format!("{{{}}}", text.join(","));
            assert_eq!(json.len(), bytes as usize);
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
    }

    /// Rust and Python print the doubles alike only while neither uses an exponent.
    #[test]
    fn no_number_needs_an_exponent() {
        let args = args(10, 300);
        for index in 0..200_000 {
            let base = mix(!args.seed, index);
            let texts = [value(4, base, index), value(7, base, index)].join("");
            assert!(!texts.contains("e-") && !texts.contains(".0,"), "{texts}");
        }
    }

    #[test]
    fn what_generate_prints_reads_back_the_same() -> Result<()> {
        let args = args(10, 300);
        let path = std::env::temp_dir().join(format!("kaa-epr-load-{}.jsonl", std::process::id()));
        write_lines(&args, &mut File::create(&path)?)?;
        let mut read = Vec::new();
        read_file(&path, |endpoint| {
            read.push(endpoint);
            Ok(())
        })?;
        std::fs::remove_file(&path)?;
        assert_eq!(read.len(), 50);
        for (index, got) in read.iter().enumerate() {
            let made = endpoint(&args, index as u64);
            assert_eq!((&got.id, &got.metadata), (&made.id, &made.metadata));
        }
        Ok(())
    }
}
