//! The names of one object: whether one is there twice, in bounded time whatever they are.

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// A name, by its place in the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Name {
    fn bytes(self, out: &[u8]) -> &[u8] {
        &out[self.start..self.end]
    }

    /// The name; it was written as UTF-8.
    pub(super) fn text(self, out: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(out)).unwrap_or_default()
    }
}

/// Up to so many names each is compared with those before it.
const FEW: usize = 8;

/// Whether any name is there twice.
pub(super) fn is_doubled(out: &[u8], names: &[Name], seed: u64) -> bool {
    if names.len() <= FEW {
        return names.iter().enumerate().any(|(at, name)| {
            let before = &names[..at];
            before.iter().any(|other| other.bytes(out) == name.bytes(out))
        });
    }
    let hasher = FixedState::with_seed(seed);
    let mut hashed: Vec<(u64, Name)> = names
        .iter()
        .map(|name| (hasher.hash_one(name.bytes(out)), *name))
        .collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    // Names of one hash, of which there are few unless somebody knows the seed, are sorted in their turn.
    hashed
        .chunk_by_mut(|(one, _), (other, _)| one == other)
        .filter(|same| same.len() > 1)
        .any(|same| {
            same.sort_unstable_by_key(|(_, name)| name.bytes(out));
            same.windows(2)
                .any(|pair| pair[0].1.bytes(out) == pair[1].1.bytes(out))
        })
}

/// Whether an object with these names, read back as a reference, has no JSON form.
///
/// PyMongo shows the fields of a `DBRef` as attributes, and `bson.json_util` takes whatever has these for a container.
pub(super) fn hides_a_method(out: &[u8], names: &[Name]) -> bool {
    let has = |wanted: &[u8]| names.iter().any(|name| name.bytes(out) == wanted);
    has(b"$ref") && has(b"$id") && (has(b"items") || has(b"__iter__"))
}
