//! A simulated fleet: replicas, writers, a store and the messages between them, in virtual time, from one seed.
//!
//! `KAA_EPR_SIM_SEED=<n>` replays one seed. `KAA_EPR_SIM_OPERATIONS=<n>` and `KAA_EPR_SIM_REPORT=<file>` set the
//! size and the report of the nightly run, which is the ignored test.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/asking.rs"]
mod asking;
mod chance;
mod fleet;
mod oracle;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod writer;

use std::time::Instant;

use fleet::Fleet;
use kaa_epr_core::bugs::Bug;
use tally::Tally;

/// Operations of the run that CI makes: about half a minute in the dev profile.
const CI_OPERATIONS: u64 = 3_000_000;
const NIGHTLY_OPERATIONS: u64 = 10_000_000;
/// Seeds after which a broken rule must have been noticed.
const MOST_SEEDS: u64 = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs seeds from `first` on until there were so many operations; panics with the seed of the first failure.
fn run(first: u64, operations: u64) -> (u64, Tally) {
    let (mut seeds, mut total) = (0, Tally::default());
    while total.operations < operations {
        let seed = first + seeds;
        match Fleet::new(seed, None).run() {
            Ok(tally) => total.add(&tally),
            Err(wrong) => panic!("KAA_EPR_SIM_SEED={seed} replays this: {wrong}"),
        }
        seeds += 1;
    }
    (seeds, total)
}

#[test]
fn no_invariant_breaks() {
    let (seeds, tally) = match number("KAA_EPR_SIM_SEED") {
        Some(seed) => run(seed, 1),
        None => run(1, CI_OPERATIONS),
    };
    println!("{seeds} seeds, {tally:?}");
    let happened = [
        tally.app_versions,
        tally.hits,
        tally.lost,
        tally.crashes,
        tally.expirations,
        tally.applied,
    ];
    assert!(seeds == 1 || !happened.contains(&0), "{happened:?}");
}

#[test]
fn a_seed_replays() {
    let runs = [(); 2].map(|()| Fleet::new(7, None).run().expect("is right"));
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for bug in [
        Bug::EventsVoidNoLoads,
        Bug::GetsJoinVoidLoads,
        Bug::LandingsForgetAnswers,
        Bug::ReconnectKeepsCache,
        Bug::GapsKeepLoads,
        Bug::NothingSettles,
        Bug::DeafServesCache,
        Bug::HolesAreIgnored,
        Bug::SilenceIsIgnored,
        Bug::FloorsAreIgnored,
        Bug::ForeignEventsDoNotSettle,
        Bug::MarksOutliveEvents,
        Bug::EntriesDoNotAge,
        Bug::AppliesToAnyVersion,
    ] {
        let noticed =
            (1..=MOST_SEEDS).find_map(|seed| Some((seed, Fleet::new(seed, Some(bug)).run().err()?)));
        match noticed {
            Some((seed, wrong)) => println!("{bug:?}: seed {seed}: {wrong}"),
            None => unnoticed.push(bug),
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:?} go unnoticed");
}

#[test]
#[ignore = "takes minutes: the nightly run"]
fn nightly() {
    let began = Instant::now();
    let operations = number("KAA_EPR_SIM_OPERATIONS").unwrap_or(NIGHTLY_OPERATIONS);
    let first = number("KAA_EPR_SIM_SEED").unwrap_or(1_000_000);
    let (seeds, tally) = run(first, operations);
    let report = format!(
        "{{\n  \"first_seed\": {first},\n  \"seeds\": {seeds},\n  \"violations\": 0,\n  \"seconds\": {},\n{}\n}}\n",
        began.elapsed().as_secs(),
        tally.json()
    );
    println!("{report}");
    if let Ok(path) = std::env::var("KAA_EPR_SIM_REPORT") {
        std::fs::write(&path, report).expect("the report can be written");
    }
}
