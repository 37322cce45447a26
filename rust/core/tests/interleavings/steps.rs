//! What can happen in a world, and how worlds differ.

use kaa_epr_core::bugs::Bug;

/// What a load brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// What the store had when it began.
    AtBegin,
    /// What the store has when it ends.
    AtEnd,
    /// One version less than the store had when it began.
    Old,
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A get comes: a hit, or a miss that is parked.
    Get(usize),
    /// A keys get comes.
    Keys(usize),
    /// A request for the application versions of both endpoints comes.
    AppVersions,
    /// A load of all queued flights begins.
    Begin,
    /// The running load at this place ends.
    End(usize, Read),
    /// The writer changes an endpoint; the event is on its way.
    Write(usize),
    /// The first event on its way arrives.
    Event,
    /// One read brings the first event on its way and behind it a get.
    EventThenGet(usize),
    /// The second event on its way arrives first.
    Overtake,
    /// The first event on its way arrives, and will once more.
    Repeat,
    /// Somebody who keeps no versions changes the first endpoint, and nobody hears of it.
    Rewrite,
    /// The first event on its way is lost.
    Lose,
    /// The writer's heartbeat arrives, behind every event that is not lost.
    Beat,
    /// Something that needs all the room is loaded.
    Evict,
    /// The operator flushes.
    Flush,
    /// The oldest age passes.
    Expire,
    /// The connection is lost with all events on their way, and made again.
    Reconnect,
    /// The event subscriptions of the connection are confirmed.
    Ears,
    /// So many milliseconds pass.
    Pass(u64),
}

impl Step {
    /// Whether doing it twice in a row is the same as doing it once, so that it need not be tried.
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Evict | Self::Flush | Self::Expire | Self::Reconnect | Self::Beat
        )
    }
}

/// How a world differs from the plainest one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    pub bug: Option<Bug>,
    /// Events have no headers, and the store may be behind for as long as they settle.
    pub foreign: bool,
    /// The server is one of several: events of the first 2 s may be lost.
    pub cluster: bool,
    /// Events have numbers, and their writer is known; all but every fourth can be applied to what is cached.
    pub numbered: bool,
    /// The same, but each event is the only one of its writer, who then says goodbye, so that no number is missing and
    /// nobody falls silent.
    pub exact: bool,
    /// Both endpoints are at version 1, and the first is cached.
    pub cached: bool,
}
