//! Requests about several endpoints, of which some must be loaded: what was found so far.
//!
//! Each endpoint that is missing waits as a get of its own ([`crate::park`]), under the same rules as any other. The
//! request is answered when the last of them has landed, so every part of the answer was read after the request
//! came, but not all at one moment.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::park::Waiter;

/// What is known of one endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is waited for.
    Missing,
    /// The endpoint is unknown, or has no application version.
    Without,
    /// The place of its application version among those found.
    Version(u32),
}

/// The parts of one request, one for each of its distinct endpoints, in the order in which it names them.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    parts: Vec<Part>,
    missing: usize,
    /// Distinct ones.
    versions: Vec<Box<str>>,
    bytes: usize,
}

impl Parts {
    /// Nothing is known of any of `count` endpoints.
    pub fn missing(count: usize) -> Self {
        Self {
            parts: vec![Part::Missing; count],
            missing: count,
            versions: Vec::new(),
            bytes: count * size_of::<Part>(),
        }
    }

    /// How many are missing.
    pub fn count_missing(&self) -> usize {
        self.missing
    }

    /// Places of those that are missing.
    pub fn places_missing(&self) -> impl Iterator<Item = usize> + '_ {
        let places = self.parts.iter().enumerate();
        places
            .filter(|(_, part)| **part == Part::Missing)
            .map(|(place, _)| place)
    }

    /// What is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The application version of the endpoint at `place`, if it has one.
    pub fn version(&self, place: usize) -> Option<&str> {
        match self.parts.get(place)? {
            Part::Version(version) => self.versions.get(*version as usize).map(AsRef::as_ref),
            Part::Missing | Part::Without => None,
        }
    }

    /// The endpoint at `place` has this application version, or none. What is there already stays.
    pub fn put(&mut self, place: usize, version: Option<&str>) {
        let found = match version {
            None => Part::Without,
            Some(version) => Part::Version(self.intern(version)),
        };
        if let Some(part) = self.parts.get_mut(place).filter(|part| **part == Part::Missing) {
            *part = found;
            self.missing -= 1;
        }
    }

    /// Endpoints have few versions between them, and neighbours the same.
    fn intern(&mut self, version: &str) -> u32 {
        let known = self.versions.iter().rposition(|known| **known == *version);
        known.unwrap_or_else(|| {
            self.versions.push(version.into());
            self.bytes += version.len() + size_of::<Box<str>>();
            self.versions.len() - 1
        }) as u32
    }
}

/// A request that waits for some of its endpoints.
#[derive(Clone, Debug)]
pub struct Gather {
    /// The request.
    pub waiter: Waiter,
    /// What was found so far.
    pub parts: Parts,
}

impl Gather {
    /// What is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.waiter.size() + self.parts.bytes()
    }
}

/// All requests about several endpoints that wait. Their bytes and numbers are bounded with those of all gets that
/// wait, in [`crate::park::Park`].
#[derive(Clone, Debug)]
pub struct Gathers {
    open: HashMap<u64, Gather, FixedState>,
    next: u64,
}

impl Gathers {
    /// Nothing waits.
    pub fn new(seed: u64) -> Self {
        Self {
            open: HashMap::with_hasher(FixedState::with_seed(seed)),
            next: 1,
        }
    }

    /// Keeps a request; its number is for its parts.
    pub fn open(&mut self, gather: Gather) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, gather);
        number
    }

    /// A request that still waits.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Gather> {
        self.open.get_mut(&number)
    }

    /// Takes a request out, to be answered.
    pub fn close(&mut self, number: u64) -> Option<Gather> {
        self.open.remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_once_and_versions_kept_once() {
        let mut parts = Parts::missing(4);
        let empty = parts.bytes();
        parts.put(2, Some("v1"));
        parts.put(0, None);
        parts.put(3, Some("v1"));
        let one = parts.bytes();
        assert_eq!(
            (parts.count_missing(), one),
            (1, empty + 2 + size_of::<Box<str>>())
        );
        assert_eq!(parts.places_missing().collect::<Vec<_>>(), [1]);
        parts.put(2, None);
        parts.put(9, None);
        assert_eq!(parts.count_missing(), 1);
        parts.put(1, Some(""));
        let found: Vec<_> = (0..5).map(|place| parts.version(place)).collect();
        assert_eq!(found, [None, Some(""), Some("v1"), Some("v1"), None]);
        assert_eq!(parts.count_missing(), 0);
    }
}
