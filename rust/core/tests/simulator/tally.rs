//! What a simulation counts.

/// What was done, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub operations: u64,
    pub gets: u64,
    pub keys_gets: u64,
    pub app_versions: u64,
    pub hits: u64,
    pub writes: u64,
    pub delivered: u64,
    /// Events applied to what was cached.
    pub applied: u64,
    pub lost: u64,
    pub crashes: u64,
    pub reconnects: u64,
    pub failovers: u64,
    pub flushes: u64,
    pub expirations: u64,
    pub unavailable: u64,
}

impl Tally {
    fn fields(&self) -> [(&'static str, u64); 15] {
        [
            ("operations", self.operations),
            ("gets", self.gets),
            ("keys_gets", self.keys_gets),
            ("app_versions", self.app_versions),
            ("hits", self.hits),
            ("writes", self.writes),
            ("delivered", self.delivered),
            ("applied", self.applied),
            ("lost", self.lost),
            ("crashes", self.crashes),
            ("reconnects", self.reconnects),
            ("failovers", self.failovers),
            ("flushes", self.flushes),
            ("expirations", self.expirations),
            ("unavailable", self.unavailable),
        ]
    }

    pub fn add(&mut self, other: &Self) {
        let [
            operations,
            gets,
            keys_gets,
            app_versions,
            hits,
            writes,
            delivered,
            applied,
            lost,
            crashes,
            reconnects,
            failovers,
            flushes,
            expirations,
            unavailable,
        ] = std::array::from_fn(|place| self.fields()[place].1 + other.fields()[place].1);
        *self = Self {
            operations,
            gets,
            keys_gets,
            app_versions,
            hits,
            writes,
            delivered,
            applied,
            lost,
            crashes,
            reconnects,
            failovers,
            flushes,
            expirations,
            unavailable,
        };
    }

    pub fn json(&self) -> String {
        let lines = self
            .fields()
            .map(|(name, value)| format!("  \"{name}\": {value}"));
        lines.join(",\n")
    }
}
