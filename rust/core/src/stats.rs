//! Counters since start; names are those of `kaa_epr/engine/stats.py`.

use crate::frame::Kind;

/// Upper bounds of the batch size histogram, in endpoints.
pub const BATCH_SIZE_BUCKETS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Upper bounds of the histogram of how long parked gets waited, in milliseconds.
pub const WAIT_MS_BUCKETS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Why the whole cache was dropped; numbers are those of `FlushCause` in `kaa_epr/engine/api.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlushCause {
    /// A new connection.
    Connection = 0,
    /// An event that could not be decoded, or was too large to be taken in its place.
    UndecodableEvent = 1,
    /// A subscription callback's queue overflowed and lost events.
    EventOverflow = 2,
    /// An event subscription was refused or ended.
    EarsLost = 3,
    /// MongoDB has another primary.
    StorePrimaryChanged = 4,
    /// Somebody asked for it.
    Operator = 5,
    /// A writer fell silent.
    Heartbeat = 6,
    /// Events of a writer are missing, or may have been missed before it was first heard.
    Hole = 7,
    /// The change stream could not go on where it was.
    WitnessLost = 8,
    /// The collection was dropped or renamed; forgets the floors of versions as well.
    CollectionEnded = 9,
}

impl FlushCause {
    /// The cause with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Connection,
            Self::UndecodableEvent,
            Self::EventOverflow,
            Self::EarsLost,
            Self::StorePrimaryChanged,
            Self::Operator,
            Self::Heartbeat,
            Self::Hole,
            Self::WitnessLost,
            Self::CollectionEnded,
        ]
        .into_iter()
        .find(|cause| *cause as u8 == number)
    }
}

/// A histogram with fixed upper bounds; the last count is of what is above them all.
#[derive(Clone, Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [u64; N],
    above: u64,
}

impl<const N: usize> Histogram<N> {
    const fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: [0; N],
            above: 0,
        }
    }

    /// Counts one value.
    pub fn observe(&mut self, value: u64) {
        match self.bounds.iter().position(|bound| value <= *bound) {
            Some(at) => self.counts[at] += 1,
            None => self.above += 1,
        }
    }

    /// One count per bound, then the count above them.
    pub fn counts(&self) -> Vec<u64> {
        self.counts.iter().copied().chain([self.above]).collect()
    }
}

macro_rules! counters {
    ($($name:ident: $doc:literal,)*) => {
        /// The plain counters.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            /// Names and values.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    hits: "Endpoints asked for and found in the cache.",
    misses: "Endpoints asked for that had to be loaded.",
    unknown_hits: "Endpoints asked for and found among the marks of unknown ones.",
    joined: "Misses that joined a flight.",
    loads: "Loads begun.",
    load_failures: "Loads that failed.",
    loaded_endpoints: "Documents that loads brought.",
    void_fills: "Endpoints loaded and answered, but not cached.",
    evictions: "Entries evicted for room.",
    expirations: "Entries found beyond their age.",
    invalidations_metadata_updated: "15/EME metadata updated events applied.",
    invalidations_registered: "9/ELCE registered events applied.",
    invalidations_unregistered: "9/ELCE unregistered events applied.",
    invalidations_appversion_updated: "9/ELCE application version updated events applied.",
    events_applied: "15/EME events that a cached entry was changed by, instead of being dropped.",
    events_undecodable: "Events that did not decode.",
    flushes_connection: "Flushes by a new connection.",
    flushes_undecodable_event: "Flushes by an undecodable event.",
    flushes_event_overflow: "Flushes by an overflow of a callback queue.",
    flushes_ears_lost: "Flushes by a lost event subscription.",
    flushes_store_primary_changed: "Flushes by a change of MongoDB's primary.",
    flushes_operator: "Flushes asked for.",
    flushes_heartbeat: "Flushes because a writer fell silent.",
    flushes_hole: "Flushes because events are missing, or may be.",
    flushes_witness_lost: "Flushes because the change stream lost its place.",
    flushes_collection_ended: "Flushes because the collection was dropped or renamed.",
    heartbeats: "Heartbeats of writers.",
    heartbeats_malformed: "Heartbeats that name no writer or number.",
    events_foreign: "Events without a version.",
    events_late: "Numbered messages that came twice, or after later ones.",
    events_lost: "Events whose numbers are missing.",
    stale_loads: "Endpoints that a load returned older than an event had told.",
    stale_suspected: "Entries that the change stream or the scrubber found older than the store.",
    stale_proven: "Entries that were still older when looked at again.",
    requests: "Requests received, of all kinds.",
    requests_keys_get: "Of these, for metadata keys.",
    requests_app_versions: "Of these, for application versions.",
    requests_no_reply: "Requests without a reply subject.",
    requests_bad_reply: "Requests whose reply subject is none that answers go to.",
    requests_expired: "Requests that expired before their answer.",
    answers_200: "Answers 200.",
    answers_400: "Answers 400.",
    answers_404: "Answers 404.",
    answers_413: "Answers 413.",
    answers_500: "Answers 500.",
    answers_503: "Answers 503.",
    errors_keys_get: "Of the answers, refusals of metadata keys gets, 404 left out.",
    errors_app_versions: "Of the answers, refusals of requests for application versions.",
    held_dropped: "Answers made while no connection was up and dropped.",
    unusable_documents: "Stored documents that could not be used.",
}

/// All that is counted.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Answers of any status.
    pub answers: u64,
    /// Plain counters.
    pub count: Counters,
    /// Endpoints per load.
    pub batch_sizes: Histogram<11>,
    /// How long parked gets waited for their answer, in milliseconds.
    pub wait_ms: Histogram<12>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            answers: 0,
            count: Counters::default(),
            batch_sizes: Histogram::new(BATCH_SIZE_BUCKETS),
            wait_ms: Histogram::new(WAIT_MS_BUCKETS),
        }
    }
}

impl Stats {
    /// Counts a request.
    #[inline]
    pub fn requested(&mut self, kind: Kind) {
        self.count.requests += 1;
        match kind {
            Kind::KeysGet => self.count.requests_keys_get += 1,
            Kind::AppVersions => self.count.requests_app_versions += 1,
            _ => {}
        }
    }

    /// Counts an answer to a request of this kind by its status.
    #[inline]
    pub fn answered(&mut self, kind: Kind, status: i32) {
        self.answers += 1;
        if !matches!(status, 200 | 404) {
            match kind {
                Kind::KeysGet => self.count.errors_keys_get += 1,
                Kind::AppVersions => self.count.errors_app_versions += 1,
                _ => {}
            }
        }
        let count = &mut self.count;
        *match status {
            200 => &mut count.answers_200,
            400 => &mut count.answers_400,
            404 => &mut count.answers_404,
            413 => &mut count.answers_413,
            503 => &mut count.answers_503,
            _ => &mut count.answers_500,
        } += 1;
    }

    /// Counts an applied event.
    pub fn invalidated(&mut self, kind: Kind) {
        let count = &mut self.count;
        match kind {
            Kind::Get | Kind::KeysGet | Kind::AppVersions | Kind::Heartbeat => {}
            Kind::MetadataUpdated => count.invalidations_metadata_updated += 1,
            Kind::Registered => count.invalidations_registered += 1,
            Kind::Unregistered => count.invalidations_unregistered += 1,
            Kind::AppVersionUpdated => count.invalidations_appversion_updated += 1,
        }
    }

    /// Counts a flush.
    pub fn flushed(&mut self, cause: FlushCause) {
        let count = &mut self.count;
        *match cause {
            FlushCause::Connection => &mut count.flushes_connection,
            FlushCause::UndecodableEvent => &mut count.flushes_undecodable_event,
            FlushCause::EventOverflow => &mut count.flushes_event_overflow,
            FlushCause::EarsLost => &mut count.flushes_ears_lost,
            FlushCause::StorePrimaryChanged => &mut count.flushes_store_primary_changed,
            FlushCause::Operator => &mut count.flushes_operator,
            FlushCause::Heartbeat => &mut count.flushes_heartbeat,
            FlushCause::Hole => &mut count.flushes_hole,
            FlushCause::WitnessLost => &mut count.flushes_witness_lost,
            FlushCause::CollectionEnded => &mut count.flushes_collection_ended,
        } += 1;
    }
}
