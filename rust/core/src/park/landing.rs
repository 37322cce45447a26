//! What comes of a flight.

use super::Waiter;

/// What a landed flight leaves to be done.
#[derive(Debug)]
pub struct Landing {
    /// Every get that this load answers, oldest first.
    pub waiters: Vec<Waiter>,
    /// Whether the result may be cached.
    pub cacheable: bool,
    /// How many loads were in vain before.
    pub reloads: u8,
    /// The version that an older load of this endpoint was answered with while this one ran; `i64::MIN` if none.
    pub least: i64,
    /// Whether the endpoint has other flights still.
    pub others: bool,
}

impl Landing {
    /// All that is left of it, which is left here without gets.
    pub fn take(&mut self) -> Self {
        Self {
            waiters: std::mem::take(&mut self.waiters),
            ..*self
        }
    }
}
