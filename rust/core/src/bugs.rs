//! Switches that break one rule of coherence each, so that tests can show that they would notice.
//!
//! Only tests compile them (feature `bug-switches`); elsewhere [`Bugs::has`] is a constant `false`.

use crate::frame::{Kind, Message};

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Rule 1: of what one read brings, gets are answered first and events are applied behind them.
    EventsWaitForGets,
    /// Rule 2: an event does not void the loads that are running.
    EventsVoidNoLoads,
    /// Rule 2: gets that come after an event wait for a load that began before it.
    GetsJoinVoidLoads,
    /// Rule 2: a load that began later may bring less than one that landed while it ran.
    LandingsForgetAnswers,
    /// Rule 3: the cache survives a reconnect.
    ReconnectKeepsCache,
    /// Rule 3: running loads survive the gap.
    GapsKeepLoads,
    /// Rule 3: in a cluster, loads are cached from the first moment on.
    NothingSettles,
    /// Rule 4: cached entries are served while events are not heard.
    DeafServesCache,
    /// Rule 5: numbers that are missing are not missed.
    HolesAreIgnored,
    /// Rule 5: a writer may be silent.
    SilenceIsIgnored,
    /// Rule 6: the store may return less than an event told of.
    FloorsAreIgnored,
    /// Rule 7: loads right after a foreign event are cached.
    ForeignEventsDoNotSettle,
    /// Rule 8: a registered event leaves the mark of an unknown endpoint.
    MarksOutliveEvents,
    /// Rule 9: entries are served at any age.
    EntriesDoNotAge,
    /// Rule 12: an event is applied to whatever version is cached, whether its changes fit it or not.
    AppliesToAnyVersion,
    /// Rule 12: what an event was applied to is as young as what was just loaded.
    AppliedLiveAnew,
    /// Not a rule: a get meets a panic in the middle of its answer.
    GetsPanic,
    /// Not a rule: an event meets a panic.
    EventsPanic,
    /// Not a rule: what a load brought meets a panic.
    LandingsPanic,
}

/// What is broken: nothing, or one thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bugs {
    #[cfg(feature = "bug-switches")]
    broken: Option<Bug>,
}

impl Bugs {
    /// Breaks one rule.
    #[cfg(feature = "bug-switches")]
    pub const fn only(bug: Bug) -> Self {
        Self { broken: Some(bug) }
    }

    /// Whether this is broken.
    #[cfg(feature = "bug-switches")]
    pub fn has(self, bug: Bug) -> bool {
        self.broken == Some(bug)
    }

    /// Whether this is broken: never outside of tests.
    #[cfg(not(feature = "bug-switches"))]
    #[inline]
    pub const fn has(self, _bug: Bug) -> bool {
        false
    }
}

/// Events that a broken rule 1 puts off until the gets of the same read are answered.
#[derive(Debug, Default)]
pub struct Late(Vec<(Kind, Vec<u8>, Vec<u8>)>);

impl Late {
    /// Puts off an event.
    #[cold]
    pub fn put(&mut self, event: &Message<'_>) {
        self.0
            .push((event.kind, event.headers.to_vec(), event.payload.to_vec()));
    }

    /// All events that were put off, in their order.
    pub fn events(&self) -> impl Iterator<Item = Message<'_>> {
        self.0.iter().map(|(kind, headers, payload)| Message {
            kind: *kind,
            reply: &[],
            headers,
            payload,
        })
    }
}
