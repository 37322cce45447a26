//! Every order of what can happen to one endpoint and to two, against a model; and with each rule broken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asking;
#[path = "../support/mod.rs"]
mod support;
mod world;

use kaa_epr_core::bugs::Bug;
use world::{Read, Setting, Step, World};

/// Steps of which every order is tried.
struct Alphabet {
    name: &'static str,
    setting: Setting,
    steps: Vec<Step>,
    depth: usize,
    /// Rules whose absence it shows.
    bugs: &'static [Bug],
}

const LOADS: [Step; 6] = [
    Step::End(0, Read::AtBegin),
    Step::End(0, Read::AtEnd),
    Step::End(1, Read::AtBegin),
    Step::End(1, Read::AtEnd),
    Step::End(2, Read::AtBegin),
    Step::End(2, Read::AtEnd),
];

fn one_endpoint() -> Alphabet {
    let mut steps = vec![
        Step::Get(0),
        Step::Begin,
        Step::Write(0),
        Step::Event,
        Step::Evict,
        Step::Flush,
        Step::Expire,
        Step::Reconnect,
        Step::Ears,
    ];
    steps.extend(LOADS);
    Alphabet {
        name: "one endpoint",
        setting: Setting::default(),
        steps,
        depth: 8,
        bugs: &[
            Bug::EventsVoidNoLoads,
            Bug::GetsJoinVoidLoads,
            Bug::LandingsForgetAnswers,
            Bug::ReconnectKeepsCache,
            Bug::GapsKeepLoads,
            Bug::DeafServesCache,
            Bug::MarksOutliveEvents,
            Bug::EntriesDoNotAge,
        ],
    }
}

fn two_endpoints() -> Alphabet {
    let mut alphabet = one_endpoint();
    alphabet.name = "two endpoints";
    alphabet.steps.extend([Step::Get(1), Step::Write(1)]);
    alphabet.depth = 6;
    alphabet.bugs = &[
        Bug::EventsVoidNoLoads,
        Bug::GetsJoinVoidLoads,
        Bug::ReconnectKeepsCache,
        Bug::MarksOutliveEvents,
    ];
    alphabet
}

/// One read brings an event and a get behind it.
fn one_read() -> Alphabet {
    Alphabet {
        name: "one read",
        setting: Setting::default(),
        steps: vec![
            Step::Get(0),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::End(0, Read::AtEnd),
            Step::End(1, Read::AtBegin),
            Step::End(1, Read::AtEnd),
            Step::Write(0),
            Step::Event,
            Step::EventThenGet(0),
            Step::Evict,
        ],
        depth: 8,
        bugs: &[Bug::EventsWaitForGets],
    }
}

/// Keys gets, and requests about both endpoints, under the rules of gets.
fn other_requests() -> Alphabet {
    let mut steps = vec![
        Step::Keys(0),
        Step::AppVersions,
        Step::Begin,
        Step::Write(0),
        Step::Write(1),
        Step::Event,
        Step::Evict,
        Step::Flush,
        Step::Reconnect,
        Step::Ears,
    ];
    steps.extend(&LOADS[..3]);
    Alphabet {
        name: "other requests",
        setting: Setting::default(),
        steps,
        depth: 7,
        bugs: &[
            Bug::EventsVoidNoLoads,
            Bug::GetsJoinVoidLoads,
            Bug::ReconnectKeepsCache,
            Bug::GapsKeepLoads,
            Bug::DeafServesCache,
            Bug::MarksOutliveEvents,
        ],
    }
}

/// Events get lost; numbers, heartbeats and silence tell.
fn lost_events() -> Alphabet {
    Alphabet {
        name: "lost events",
        setting: Setting {
            numbered: true,
            ..Setting::default()
        },
        steps: vec![
            Step::Get(0),
            Step::Get(1),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::End(1, Read::AtBegin),
            Step::Write(0),
            Step::Write(1),
            Step::Event,
            Step::Lose,
            Step::Beat,
            Step::Pass(750),
        ],
        depth: 7,
        bugs: &[Bug::HolesAreIgnored, Bug::SilenceIsIgnored],
    }
}

/// The store may return one version less than it has.
fn old_primary() -> Alphabet {
    Alphabet {
        name: "old primary",
        setting: Setting::default(),
        steps: vec![
            Step::Get(0),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::End(0, Read::Old),
            Step::End(1, Read::AtBegin),
            Step::End(1, Read::Old),
            Step::Write(0),
            Step::Event,
            Step::Evict,
        ],
        depth: 8,
        bugs: &[Bug::FloorsAreIgnored],
    }
}

/// Events without headers: the store may return what it had before for as long as they settle.
fn foreign_writer() -> Alphabet {
    let mut alphabet = old_primary();
    alphabet.name = "foreign writer";
    alphabet.setting.foreign = true;
    alphabet.steps.push(Step::Pass(500));
    alphabet.bugs = &[Bug::ForeignEventsDoNotSettle];
    alphabet
}

/// Events of the first seconds after connecting to a cluster get lost.
fn cluster() -> Alphabet {
    Alphabet {
        name: "cluster",
        setting: Setting {
            cluster: true,
            ..Setting::default()
        },
        steps: vec![
            Step::Get(0),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::End(0, Read::AtEnd),
            Step::Write(0),
            Step::Event,
            Step::Lose,
            Step::Flush,
            Step::Pass(1_000),
        ],
        depth: 7,
        bugs: &[Bug::NothingSettles],
    }
}

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
    };
    let found = search.from(World::new(setting), depth);
    (found.err().map(|wrong| (search.path, wrong)), search.tried)
}

struct Search<'a> {
    steps: &'a [Step],
    path: Vec<Step>,
    tried: u64,
}

impl Search<'_> {
    fn from(&mut self, world: World, depth: usize) -> Result<(), String> {
        if depth == 0 {
            self.tried += 1;
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
    for bug in alphabet.bugs {
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
