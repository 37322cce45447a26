//! What can happen, in the worlds of which every order is tried.

use kaa_epr_core::bugs::Bug;

use crate::steps::{Read, Setting, Step};

/// Steps of which every order is tried.
pub struct Alphabet {
    pub name: &'static str,
    pub setting: Setting,
    pub steps: Vec<Step>,
    pub depth: usize,
    /// Rules whose absence it shows.
    pub bugs: &'static [Bug],
}

const LOADS: [Step; 6] = [
    Step::End(0, Read::AtBegin),
    Step::End(0, Read::AtEnd),
    Step::End(1, Read::AtBegin),
    Step::End(1, Read::AtEnd),
    Step::End(2, Read::AtBegin),
    Step::End(2, Read::AtEnd),
];

pub fn one_endpoint() -> Alphabet {
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

pub fn two_endpoints() -> Alphabet {
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
pub fn one_read() -> Alphabet {
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
pub fn other_requests() -> Alphabet {
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
pub fn lost_events() -> Alphabet {
    Alphabet {
        name: "lost events",
        setting: Setting {
            numbered: true,
            cached: true,
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
pub fn old_primary() -> Alphabet {
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
pub fn foreign_writer() -> Alphabet {
    let mut alphabet = old_primary();
    alphabet.name = "foreign writer";
    alphabet.setting.foreign = true;
    alphabet.steps.push(Step::Pass(500));
    alphabet.bugs = &[Bug::ForeignEventsDoNotSettle];
    alphabet
}

/// Events of the first seconds after connecting to a cluster get lost.
pub fn cluster() -> Alphabet {
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

/// The same with events that can be applied, and something that they can be applied to.
pub fn applied(mut alphabet: Alphabet, depth: usize) -> Alphabet {
    alphabet.setting.exact = true;
    alphabet.setting.cached = true;
    alphabet.depth = depth;
    alphabet
}

/// Events of several registers overtake each other, and come twice.
pub fn overtaken() -> Alphabet {
    Alphabet {
        name: "overtaken events",
        setting: Setting {
            exact: true,
            cached: true,
            ..Setting::default()
        },
        steps: vec![
            Step::Get(0),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::End(0, Read::AtEnd),
            Step::Write(0),
            Step::Event,
            Step::Overtake,
            Step::Repeat,
            Step::Evict,
        ],
        depth: 8,
        bugs: &[Bug::AppliesToAnyVersion],
    }
}

/// What no event tells of ends with the age of what was loaded, however often events were applied to it.
pub fn applied_age() -> Alphabet {
    Alphabet {
        name: "age of applied entries",
        setting: Setting {
            exact: true,
            cached: true,
            ..Setting::default()
        },
        steps: vec![
            Step::Get(0),
            Step::Begin,
            Step::End(0, Read::AtBegin),
            Step::Write(0),
            Step::Event,
            Step::Rewrite,
            Step::Pass(60_000),
        ],
        depth: 8,
        bugs: &[Bug::AppliedLiveAnew, Bug::EntriesDoNotAge],
    }
}
