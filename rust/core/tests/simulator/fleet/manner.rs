//! What differs from seed to seed.

use crate::chance::Chance;
use crate::support::*;
use kaa_epr_core::pipeline::Config;

/// Age at which quiet runs drop what is cached, in milliseconds: some ten times within the time with faults.
const SMALL_AGE: u64 = 3_000;

/// How a run goes.
///
/// In a quiet one connections last, primaries stay and numbered events arrive, so that nothing flushes the cache,
/// while many foreign events are lost without a trace: only the age of an entry ends it then (rule 9).
#[derive(Debug)]
pub(super) struct Manner {
    pub quiet: bool,
    /// A stock service writes too.
    pub stock: bool,
    pub cluster: bool,
    /// Most that an entry may be behind, whatever was missed, in milliseconds.
    pub max_age: u64,
    /// How many events with numbers, and without, are lost of a thousand.
    pub lose: u64,
    pub lose_foreign: u64,
    pub repeat: u64,
    pub dawdle: u64,
    pub slow_store: u64,
    pub failing_store: u64,
}

impl Manner {
    pub fn new(chance: &mut Chance) -> Self {
        let quiet = chance.permille(200);
        let lose = [0, 5, 50][chance.place(3)];
        Self {
            quiet,
            stock: quiet || chance.permille(500),
            cluster: chance.permille(400),
            max_age: if quiet { SMALL_AGE } else { MAX_AGE },
            lose: if quiet { 0 } else { lose },
            lose_foreign: if quiet { 300 } else { lose },
            repeat: [0, 20][chance.place(2)],
            dawdle: [0, 30, 200][chance.place(3)],
            slow_store: [0, 30, 200][chance.place(3)],
            failing_store: [0, 20][chance.place(2)],
        }
    }

    pub fn settings(&self, chance: &mut Chance) -> Config {
        let mut settings = config();
        // Entries that are evicted do not grow old: there is room for all.
        let (least, most) = if self.quiet { (9_000, 9_000) } else { (600, 6_000) };
        settings.cache.max_bytes = chance.between(least, most) as usize;
        settings.cache.max_age_ms = self.max_age;
        settings.unknown.max_age_ms = settings.unknown.max_age_ms.min(self.max_age);
        // As the configuration has it: floors live as long as entries.
        settings.spans.floor_ms = self.max_age;
        settings.seed = chance.next();
        settings
    }
}
