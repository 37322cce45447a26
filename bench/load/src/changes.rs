//! A register's changes, as the generator knows them: from the second version on, one field of an endpoint says
//! which version it is. So what an answer must hold follows from the version that its eTag claims.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};

use crate::dataset::{Endpoint, VERSION};

/// The field that changes; `changes.py` changes the same.
pub const FIELD: &str = "note";
/// Length of its JSON text from the second version on.
const LENGTH: usize = 18;

/// JSON text of the field at any version but the stored one; always of the same length.
pub fn text(version: i64) -> [u8; LENGTH] {
    let mut text = *b"\"v000000000000000\"";
    let mut rest = version.unsigned_abs();
    for digit in text[2..LENGTH - 1].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

/// Where an endpoint's field stands.
struct Place {
    /// In the JSON of a get's answer; `None`: the get does not ask for the field.
    at: Option<u32>,
    /// Its JSON text as stored, in `Changes::stored`.
    stored: Range<u32>,
}

/// The changes of all known endpoints.
#[derive(Default)]
pub struct Changes {
    places: Vec<Place>,
    stored: Vec<u8>,
    /// Events published so far, endpoint after endpoint, round and round. `None`: another program changes the
    /// store, which may be ahead of what it has reported.
    published: Option<AtomicU64>,
}

impl Changes {
    /// Of no endpoint as yet; `told`: by this program's events alone.
    pub fn new(told: bool) -> Self {
        Self {
            published: told.then(AtomicU64::default),
            ..Self::default()
        }
    }

    /// Adds the next endpoint, of which `asked` fields are asked for (none: all); an error if it lacks the field.
    pub fn add(&mut self, endpoint: &Endpoint, asked: &[usize]) -> Result<()> {
        let field = endpoint.metadata.iter().position(|(key, _)| key == FIELD);
        let field =
            field.with_context(|| format!("an endpoint without the field {FIELD:?}, which changes"))?;
        let is_asked = |number: &usize| asked.is_empty() || asked.contains(number);
        let before = (0..field).filter(is_asked).map(|number| {
            let (key, value) = &endpoint.metadata[number];
            key.len() + value.len() + 4 // quotes, colon, comma
        });
        let at = 1 + before.sum::<usize>() + FIELD.len() + 3;
        let start = self.stored.len() as u32;
        self.stored
            .extend_from_slice(endpoint.metadata[field].1.as_bytes());
        self.places.push(Place {
            at: is_asked(&field).then_some(at as u32),
            stored: start..self.stored.len() as u32,
        });
        Ok(())
    }

    /// The version after the next change of a target, by the events published so far; and before it, the field's
    /// JSON text as stored if that has not changed yet.
    pub fn next(&self, target: u32) -> (i64, Option<&[u8]>) {
        let version = self.latest(target);
        (version + 1, (version == VERSION).then(|| self.stored(target)))
    }

    /// One more event is about to be published.
    pub fn publish(&self) {
        if let Some(published) = &self.published {
            published.fetch_add(1, Ordering::Release);
        }
    }

    /// The last version of a target that anybody can know of.
    pub fn latest(&self, target: u32) -> i64 {
        let Some(published) = &self.published else {
            return i64::MAX;
        };
        let count = self.places.len() as u64;
        let published = published.load(Ordering::Acquire);
        VERSION + ((published + count - 1 - u64::from(target)) / count) as i64
    }

    /// What an answer that claims `version` would be had nothing changed, in `out`; `false` when it does not hold
    /// what that version holds.
    pub fn undo(&self, target: u32, version: i64, json: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let place = &self.places[target as usize];
        let Some(at) = place.at.filter(|_| version > VERSION) else {
            out.extend_from_slice(json);
            return version >= VERSION;
        };
        let Some((before, rest)) = json.split_at_checked(at as usize) else {
            return false;
        };
        let Some(after) = rest.strip_prefix(&text(version)) else {
            return false;
        };
        for part in [before, self.stored(target), after] {
            out.extend_from_slice(part);
        }
        true
    }

    fn stored(&self, target: u32) -> &[u8] {
        let Range { start, end } = self.places[target as usize].stored;
        &self.stored[start as usize..end as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command, Expect, RunArgs};
    use crate::book::Book;
    use crate::check::{Faults, Judge};
    use crate::dataset;
    use crate::targets::Targets;
    use crate::wire::{put_bytes, put_long};

    const REGISTER: &[&str] = &[
        "--prefill",
        "--events-per-second=9",
        "--events-on=same",
        "--events-of=register",
    ];

    fn args(more: &[&str]) -> RunArgs {
        let Command::Run(args) = Cli::parse_from([&["load", "run", "--endpoints=3"], more].concat()).command
        else {
            unreachable!("the command is run")
        };
        *args
    }

    /// The metadata of an endpoint with this in place of the changing field.
    fn metadata(args: &RunArgs, target: u32, changed: Option<i64>) -> String {
        let mut fields = dataset::endpoint(&args.dataset, target.into()).metadata;
        if let (Some(version), Some((_, value))) = (changed, fields.iter_mut().find(|(key, _)| key == FIELD))
        {
            *value = String::from_utf8_lossy(&text(version)).into_owned();
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    /// Asks for target 1 and answers with these, one after the other; what the judge made of it.
    fn judged(targets: &Targets, answers: &[(&str, &str)]) -> Faults {
        let (mut book, mut judge) = (Book::new(1, 1, 4), Judge::new(Expect::Metadata, 3, targets));
        for (etag, json) in answers {
            let mut get = targets.get(1, Instant::now());
            get.expected.least = judge.newest(1);
            let (mut correlation, mut message) = (Vec::new(), Vec::new());
            book.enter(get, &mut correlation);
            put_bytes(&mut message, &correlation);
            message.extend_from_slice(&[0, 0]);
            put_bytes(&mut message, targets.id(1));
            for part in [etag, json] {
                put_long(&mut message, 1);
                put_bytes(&mut message, part.as_bytes());
            }
            put_long(&mut message, 200);
            message.extend_from_slice(&[0, 0]);
            judge.settle(&message, &mut book, targets);
        }
        judge.faults
    }

    #[test]
    fn the_field_says_its_version() {
        assert_eq!(&text(2), br#""v000000000000002""#);
        assert_eq!(&text(1_234_567), br#""v000000001234567""#);
    }

    #[test]
    fn each_endpoint_changes_in_turn() -> Result<()> {
        let targets = Targets::new(&args(REGISTER))?;
        let changes = targets.changes().context("there are changes")?;
        let latest = || [0, 1, 2].map(|target| changes.latest(target));
        let mut seen = vec![latest()];
        for _ in 0..4 {
            changes.publish();
            seen.push(latest());
        }
        assert_eq!(seen, [[1, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2], [3, 2, 2]]);
        assert_eq!(changes.next(0), (4, None));
        Ok(())
    }

    #[test]
    fn an_answer_must_hold_what_its_version_holds() -> Result<()> {
        let args = args(REGISTER);
        let targets = Targets::new(&args)?;
        let changes = targets.changes().context("there are changes")?;
        (0..7).for_each(|_| changes.publish()); // versions 4, 3 and 3
        let [stored, second, third, fourth] =
            [None, Some(2), Some(3), Some(4)].map(|version| metadata(&args, 1, version));
        let payload = Faults {
            wrong_payload: 1,
            ..Faults::default()
        };
        let version = Faults {
            wrong_version: 1,
            ..Faults::default()
        };
        for (answers, expected) in [
            (
                &[
                    ("\"1\"", &stored),
                    ("\"2\"", &second),
                    ("\"2\"", &second),
                    ("\"3\"", &third),
                ][..],
                Faults::default(),
            ),
            (&[("\"2\"", &stored)], payload),
            (&[("\"2\"", &third)], payload),
            (&[("\"1\"", &second)], payload),
            (&[("\"2\"", &second.replace("TH-", "HT-"))], payload),
            (&[("\"2\"", &"{}".to_owned())], payload),
            (&[("\"4\"", &fourth)], version),
            (&[("\"0\"", &stored)], version),
            (&[("2", &second)], version),
            (&[("\"3\"", &third), ("\"2\"", &second)], version),
        ] {
            let answers: Vec<_> = answers
                .iter()
                .map(|(etag, json)| (*etag, json.as_str()))
                .collect();
            assert_eq!(judged(&targets, &answers), expected, "{answers:?}");
        }
        Ok(())
    }

    #[test]
    fn what_a_get_does_not_ask_for_may_change() -> Result<()> {
        let args = args(&[REGISTER, &["--include=1"]].concat());
        let targets = Targets::new(&args)?;
        targets.changes().context("there are changes")?.publish();
        let (key, value) = &dataset::endpoint(&args.dataset, 1).metadata[1];
        let json = format!("{{\"{key}\":{value}}}");
        assert!(judged(&targets, &[("\"1\"", &json)]).none());
        Ok(())
    }

    #[test]
    fn an_endpoint_without_the_field_is_refused() {
        let error = Targets::new(&args(&[REGISTER, &["--fields=9"]].concat())).err();
        assert!(error.is_some_and(|error| error.to_string().contains(FIELD)));
    }
}
