//! Every answer is judged, and what is wrong is counted by kind.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::args::Expect;
use crate::book::{Book, Get, Match};
use crate::changes::Changes;
use crate::dataset::VERSION;
use crate::targets::Targets;
use crate::wire;

/// What went wrong, by kind. All zero: every get was answered, once, in time and rightly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Gets not answered within the timeout.
    pub lost: u64,
    /// Answers to gets counted as lost.
    pub late: u64,
    /// Answers to gets answered before.
    pub duplicate: u64,
    /// Answers to nothing that was asked.
    pub stray: u64,
    /// Messages that are no answer.
    pub undecodable: u64,
    /// Answers for another endpoint than asked for.
    pub wrong_endpoint: u64,
    /// Answers with other metadata than stored.
    pub wrong_payload: u64,
    /// Answers that claim no version, one that there has never been, or an older one than an earlier answer to the
    /// same connection; counted where a register's changes are told.
    pub wrong_version: u64,
    /// Answers with another status than the endpoint calls for.
    pub unexpected_status: u64,
}

impl Faults {
    /// Whether nothing went wrong.
    pub fn none(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.stray += other.stray;
        self.undecodable += other.undecodable;
        self.wrong_endpoint += other.wrong_endpoint;
        self.wrong_payload += other.wrong_payload;
        self.wrong_version += other.wrong_version;
        self.unexpected_status += other.unexpected_status;
    }
}

/// A get that was answered.
pub struct Settled {
    /// The get.
    pub get: Get,
    /// Status of the answer; 200 for an echo.
    pub status: u16,
    /// Whether endpoint, status and payload are as they must be.
    pub right: bool,
}

/// Judges the answers of one connection.
pub struct Judge {
    expect: Expect,
    revision: u8,
    /// The last version that an answer claimed, by target; empty where versions are not judged.
    newest: Vec<i64>,
    /// An answer without its changes.
    undone: Vec<u8>,
    /// Faults so far.
    pub faults: Faults,
    /// Answers by status so far.
    pub statuses: BTreeMap<u16, u64>,
}

impl Judge {
    /// A judge of answers in the given revision.
    pub fn new(expect: Expect, revision: u8, targets: &Targets) -> Self {
        let versions = if targets.changes().is_some() {
            targets.len()
        } else {
            0
        };
        Self {
            expect,
            revision,
            newest: vec![VERSION; versions as usize],
            undone: Vec::new(),
            faults: Faults::default(),
            statuses: BTreeMap::new(),
        }
    }

    /// Forgets what was counted (the prefill is not part of the measured run).
    pub fn reset(&mut self) {
        self.faults = Faults::default();
        self.statuses.clear();
    }

    /// The least version that the answer to a get sent now may claim.
    pub fn newest(&self, target: u32) -> i64 {
        self.newest.get(target as usize).copied().unwrap_or(VERSION)
    }

    /// Matches one message to its get and judges it; `None` when no get is settled by it.
    pub fn settle(&mut self, message: &[u8], book: &mut Book, targets: &Targets) -> Option<Settled> {
        let answer = match self.expect {
            Expect::Metadata => wire::answer(message, self.revision),
            Expect::Echo => wire::request_front(message).map(|(correlation, endpoint)| wire::Answer {
                correlation,
                endpoint,
                etag: None,
                payload: None,
                status: 200,
            }),
        };
        let Some(answer) = answer else {
            self.faults.undecodable += 1;
            return None;
        };
        let get = match book.settle(answer.correlation) {
            Match::Get(get) => get,
            Match::Late => return Self::miss(&mut self.faults.late),
            Match::Duplicate => return Self::miss(&mut self.faults.duplicate),
            Match::Stray => return Self::miss(&mut self.faults.stray),
        };
        let status = u16::try_from(answer.status).unwrap_or(u16::MAX);
        *self.statuses.entry(status).or_default() += 1;
        let right = self.right(&answer, &get, status, targets);
        Some(Settled { get, status, right })
    }

    fn miss(count: &mut u64) -> Option<Settled> {
        *count += 1;
        None
    }

    fn right(&mut self, answer: &wire::Answer<'_>, get: &Get, status: u16, targets: &Targets) -> bool {
        let expected = get.expected;
        if !targets.id_matches(expected, answer.endpoint) {
            self.faults.wrong_endpoint += 1;
        } else if self.expect == Expect::Echo {
            return true;
        } else if status != expected.status() {
            self.faults.unexpected_status += 1;
        } else if let (Some(changes), Some(json)) = (targets.changes(), answer.payload) {
            return self.right_version(answer.etag, json, get, (targets, changes));
        } else if !targets.payload_matches(expected, answer.payload) {
            self.faults.wrong_payload += 1;
        } else {
            return true;
        }
        false
    }

    /// Whether the answer claims a version that it may claim, and holds what that version holds.
    fn right_version(
        &mut self,
        etag: Option<&[u8]>,
        json: &[u8],
        get: &Get,
        (targets, changes): (&Targets, &Changes),
    ) -> bool {
        let possible = get.expected.least..=changes.latest(get.target);
        let Some(version) = etag.and_then(wire::version).filter(|it| possible.contains(it)) else {
            self.faults.wrong_version += 1;
            return false;
        };
        let undone = changes.undo(get.target, version, json, &mut self.undone);
        if !undone || !targets.payload_matches(get.expected, Some(&self.undone)) {
            self.faults.wrong_payload += 1;
            return false;
        }
        let newest = &mut self.newest[get.target as usize];
        *newest = version.max(*newest);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use anyhow::Result;
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::dataset;
    use crate::wire::{put_bytes, put_long};

    fn answer(correlation: &[u8], id: &[u8], payload: Option<&[u8]>, status: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, correlation);
        put_long(&mut out, 1);
        put_long(&mut out, 0);
        put_bytes(&mut out, id);
        put_long(&mut out, payload.is_some().into());
        if let Some(payload) = payload {
            put_bytes(&mut out, payload);
        }
        put_long(&mut out, status);
        put_long(&mut out, 0);
        out
    }

    /// One get of target 0 and the answer that `make` gives it: what is judged.
    fn judged(make: impl Fn(&[u8], &[u8], &[u8]) -> Vec<u8>) -> Result<(bool, Faults)> {
        let Command::Run(args) =
            Cli::parse_from(["load", "run", "--endpoints", "3", "--revision", "1"]).command
        else {
            unreachable!("the command is run")
        };
        let targets = Targets::new(&args)?;
        let fields = dataset::endpoint(&args.dataset, 0).metadata;
        let fields: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        let metadata = format!("{{{}}}", fields.join(","));
        let (mut book, mut judge) = (Book::new(1, 1, 4), Judge::new(Expect::Metadata, 1, &targets));
        let mut correlation = Vec::new();
        book.enter(targets.get(0, Instant::now()), &mut correlation);
        let message = make(&correlation, targets.id(0), metadata.as_bytes());
        let right = judge
            .settle(&message, &mut book, &targets)
            .is_some_and(|settled| settled.right);
        Ok((right, judge.faults))
    }

    #[test]
    fn a_right_answer_is_right() -> Result<()> {
        let (right, faults) = judged(|correlation, id, json| answer(correlation, id, Some(json), 200))?;
        assert!(right && faults.none());
        Ok(())
    }

    #[test]
    fn every_wrong_answer_is_counted() -> Result<()> {
        assert_eq!(
            judged(|c, _, json| answer(c, b"other", Some(json), 200))?
                .1
                .wrong_endpoint,
            1
        );
        assert_eq!(
            judged(|c, id, _| answer(c, id, Some(b"{}"), 200))?
                .1
                .wrong_payload,
            1
        );
        assert_eq!(judged(|c, id, _| answer(c, id, None, 200))?.1.wrong_payload, 1);
        assert_eq!(
            judged(|c, id, _| answer(c, id, None, 404))?.1.unexpected_status,
            1
        );
        assert_eq!(
            judged(|_, id, json| answer(b"?", id, Some(json), 200))?.1.stray,
            1
        );
        assert_eq!(judged(|_, _, _| b"\xff".to_vec())?.1.undecodable, 1);
        Ok(())
    }
}
