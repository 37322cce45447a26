//! Every order of what can happen to one endpoint and to two, against a model; and with each rule broken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alphabets;
#[path = "../support/asking.rs"]
mod asking;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod world;

use alphabets::*;
use kaa_epr_core::bugs::Bug;
use steps::{Setting, Step};
use world::World;

/// Tries every order of at most `depth` steps; the first that ends in a wrong answer, and how many were tried.
fn explore(alphabet: &Alphabet, bug: Option<Bug>, depth: usize) -> (Option<(Vec<Step>, String)>, u64) {
    let setting = Setting {
        bug,
        ..alphabet.setting
    };
    let mut search = Search {
        steps: &alphabet.steps,
        path: Vec::new(),
        tried: 0,
        applied: false,
    };
    let found = search.from(World::new(setting), depth);
    assert!(
        found.is_err() || depth < alphabet.depth || search.applied == (setting.exact || setting.numbered),
        "{}: events are applied where they can be, and nowhere else",
        alphabet.name
    );
    (found.err().map(|wrong| (search.path, wrong)), search.tried)
}

struct Search<'a> {
    steps: &'a [Step],
    path: Vec<Step>,
    tried: u64,
    /// Whether any order ended with an event applied to what was cached.
    applied: bool,
}

impl Search<'_> {
    fn from(&mut self, world: World, depth: usize) -> Result<(), String> {
        if depth == 0 {
            self.tried += 1;
            self.applied |= world.applied() > 0;
            return world.finish();
        }
        let mut stuck = true;
        for step in self.steps {
            let again = self.path.last() == Some(step) && step.is_idempotent();
            if world.enabled(*step) && !again {
                stuck = false;
                let mut next = world.clone();
                self.path.push(*step);
                next.take(*step)?;
                self.from(next, depth - 1)?;
                self.path.pop();
            }
        }
        assert!(!stuck, "something can always happen");
        Ok(())
    }
}

/// No order is wrong, and each broken rule makes one that is, the shortest of which is shown.
fn prove(alphabet: &Alphabet) {
    // Where every endpoint is known there are no marks of unknown ones.
    let shown = |bug: &&Bug| !(alphabet.setting.cached && **bug == Bug::MarksOutliveEvents);
    for bug in alphabet.bugs.iter().filter(shown) {
        let shortest = (1..=alphabet.depth).find_map(|depth| explore(alphabet, Some(*bug), depth).0);
        let (path, wrong) = shortest.unwrap_or_else(|| panic!("{}: {bug:?} goes unnoticed", alphabet.name));
        println!("{}: {bug:?}: {path:?}: {wrong}", alphabet.name);
    }
    let (found, tried) = explore(alphabet, None, alphabet.depth);
    println!("{}: {tried} orders of {} steps", alphabet.name, alphabet.depth);
    if let Some((path, wrong)) = found {
        panic!("{}: {wrong} after {path:?}", alphabet.name);
    }
}

#[test]
fn one_endpoint_is_never_answered_from_before() {
    prove(&one_endpoint());
}

#[test]
fn two_endpoints_are_never_answered_from_before() {
    prove(&two_endpoints());
}

#[test]
fn an_event_is_applied_before_a_get_behind_it() {
    prove(&one_read());
}

#[test]
fn keys_and_application_versions_are_never_answered_from_before() {
    prove(&other_requests());
}

#[test]
fn lost_events_are_noticed() {
    prove(&lost_events());
}

#[test]
fn an_old_primary_is_not_believed() {
    prove(&old_primary());
}

#[test]
fn foreign_writers_may_take_their_time() {
    prove(&foreign_writer());
}

#[test]
fn a_cluster_settles_first() {
    prove(&cluster());
}

#[test]
fn applied_to_one_endpoint() {
    prove(&applied(one_endpoint(), 7));
}

#[test]
fn applied_to_two_endpoints() {
    prove(&applied(two_endpoints(), 6));
}

#[test]
fn an_event_is_applied_to_what_is_cached_before_a_get_behind_it() {
    prove(&applied(one_read(), 8));
}

#[test]
fn applied_for_keys_and_application_versions() {
    prove(&applied(other_requests(), 6));
}

#[test]
fn applied_beside_an_old_primary() {
    prove(&applied(old_primary(), 8));
}

#[test]
fn events_are_applied_to_the_version_that_they_changed_alone() {
    prove(&overtaken());
}

#[test]
fn what_events_are_applied_to_grows_no_younger() {
    prove(&applied_age());
}
