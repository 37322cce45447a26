//! What a cache holds.

use crate::entry::Entry;

/// What a cache holds: something with an endpoint ID and a size.
pub trait Keyed {
    /// The endpoint ID.
    fn id(&self) -> &str;
    /// Heap bytes, allocation overhead included.
    fn heap_size(&self) -> usize;
}

impl Keyed for Entry {
    fn id(&self) -> &str {
        Entry::id(self)
    }

    fn heap_size(&self) -> usize {
        self.size()
    }
}

/// The mark of an endpoint that the store does not know.
impl Keyed for Box<str> {
    fn id(&self) -> &str {
        self
    }

    fn heap_size(&self) -> usize {
        self.len() + 16
    }
}
