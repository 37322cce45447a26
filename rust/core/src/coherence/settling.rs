//! Rule 7: endpoints that settle after a foreign event.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::limits::MAX_SETTLING;

/// Endpoints whose loads are not cached for a while; when there are too many of them, all are.
#[derive(Clone, Debug)]
pub struct Settling {
    until_ms: HashMap<Arc<str>, u64, FixedState>,
    /// One entry an endpoint: when to look at it again, which may be before its time is over.
    order: VecDeque<(u64, Arc<str>)>,
    all_until_ms: u64,
}

impl Settling {
    /// Nothing settles.
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            until_ms: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
            all_until_ms: 0,
        }
    }

    /// Whether a load of `id` that begins now must not be cached.
    pub fn holds(&self, id: &str, mono_ms: u64) -> bool {
        mono_ms < self.all_until_ms || self.until_ms.get(id).is_some_and(|until| mono_ms < *until)
    }

    /// `id` settles until `until_ms`.
    pub fn hold(&mut self, id: &str, mono_ms: u64, until_ms: u64) {
        self.forget_past(mono_ms);
        if until_ms <= mono_ms {
            return;
        }
        // In a storm most endpoints settle already: no allocation then.
        if let Some(until) = self.until_ms.get_mut(id) {
            *until = until_ms;
            return;
        }
        if self.order.len() >= MAX_SETTLING {
            self.all_until_ms = until_ms;
            return;
        }
        let id: Arc<str> = id.into();
        self.until_ms.insert(Arc::clone(&id), until_ms);
        self.order.push_back((until_ms, id));
    }

    fn forget_past(&mut self, mono_ms: u64) {
        while self.order.front().is_some_and(|(until, _)| *until <= mono_ms) {
            let Some((_, id)) = self.order.pop_front() else {
                return;
            };
            match self.until_ms.get(&id) {
                Some(&until) if until > mono_ms => self.order.push_back((until, id)),
                _ => {
                    self.until_ms.remove(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_settles_for_its_time_and_others_do_not() {
        let mut settling = Settling::new(1);
        settling.hold("a", 10, 20);
        assert!(settling.holds("a", 19) && !settling.holds("a", 20) && !settling.holds("b", 15));
        settling.hold("a", 15, 25);
        assert!(settling.holds("a", 24));
        settling.hold("b", 30, 40);
        assert!(
            settling.until_ms.len() == 1 && settling.order.len() == 1,
            "the past is forgotten"
        );
    }

    #[test]
    fn with_too_many_all_settle() {
        let mut settling = Settling::new(1);
        for number in 0..MAX_SETTLING {
            settling.hold(&number.to_string(), 0, 10);
        }
        assert!(!settling.holds("other", 5));
        settling.hold("one more", 5, 15);
        assert!(settling.holds("other", 14) && !settling.holds("other", 15));
        assert_eq!(settling.order.len(), MAX_SETTLING);
    }
}
