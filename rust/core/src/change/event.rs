//! The events that tell of changes, as Avro (9/ELCE, 15/EME).

use super::diff::{Diff, Text, Told};
use super::metadata::Metadata;
use crate::avro::{put_bytes, put_long, put_string};
use crate::events::EventKind;

/// What happened; the metadata are those that the difference is between.
pub(super) enum Event<'m, 'a> {
    Registered,
    Unregistered,
    AppVersionUpdated {
        previous: &'a str,
    },
    MetadataUpdated {
        diff: &'m Diff,
        old: &'m Metadata<'a>,
        new: &'m Metadata<'a>,
        /// The version that `diff` is exact against: carried out on its metadata, keys that stay in their places
        /// and added ones behind, it gives the new metadata as gets print it. None: it is exact against none.
        base: Option<i64>,
    },
}

/// What all events have.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) correlation_id: &'a str,
    pub(super) wall_ms: i64,
    pub(super) app_version: &'a str,
    pub(super) endpoint_id: &'a str,
    pub(super) replica_id: &'a str,
}

/// One event as it goes out, and out again if need be: the payload is the same each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Which one.
    pub kind: EventKind,
    /// Of the endpoint after the change.
    pub version: i64,
    /// The Avro datum.
    pub payload: Vec<u8>,
    /// The version that its diff is exact against.
    pub base: Option<i64>,
}

impl Event<'_, '_> {
    pub(super) const fn kind(&self) -> EventKind {
        match self {
            Self::Registered => EventKind::Registered,
            Self::Unregistered => EventKind::Unregistered,
            Self::AppVersionUpdated { .. } => EventKind::AppVersionUpdated,
            Self::MetadataUpdated { .. } => EventKind::MetadataUpdated,
        }
    }

    pub(super) const fn base(&self) -> Option<i64> {
        match self {
            Self::MetadataUpdated { base, .. } => *base,
            _ => None,
        }
    }

    pub(super) fn encode(&self, head: &Head<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.capacity());
        put_string(&mut out, head.correlation_id);
        put_long(&mut out, head.wall_ms);
        put_long(&mut out, 0); // timeout: none
        put_string(&mut out, head.app_version);
        if let Self::AppVersionUpdated { previous } = self {
            put_string(&mut out, previous);
        }
        put_string(&mut out, head.endpoint_id);
        if let Self::MetadataUpdated { diff, old, new, .. } = self {
            put_map(&mut out, &diff.removed, old, |out, told| {
                put_text(out, diff, &told.old);
            });
            put_map(&mut out, &diff.added, new, |out, told| {
                put_text(out, diff, &told.new);
            });
            put_map(&mut out, &diff.updated, new, |out, told| {
                put_text(out, diff, &told.new);
                put_text(out, diff, &told.old);
            });
        }
        put_string(&mut out, head.replica_id);
        out
    }

    /// About as many bytes as it takes.
    fn capacity(&self) -> usize {
        const HEAD: usize = 192;
        match self {
            Self::MetadataUpdated { diff, .. } => {
                let keys = diff.added.len() + diff.removed.len() + diff.updated.len();
                HEAD + diff.texts.len() + 24 * keys
            }
            _ => HEAD,
        }
    }
}

/// A map in one block.
fn put_map(
    out: &mut Vec<u8>,
    items: &[Told],
    metadata: &Metadata<'_>,
    put_value: impl Fn(&mut Vec<u8>, &Told),
) {
    if !items.is_empty() {
        put_long(out, items.len() as i64);
    }
    for told in items {
        put_string(out, metadata.items().get(told.at).map_or("", |item| &item.key));
        put_value(out, told);
    }
    put_long(out, 0);
}

/// The union `["null", "string"]`.
fn put_text(out: &mut Vec<u8>, diff: &Diff, text: &Text) {
    match text.clone().and_then(|range| diff.texts.get(range)) {
        None => put_long(out, 0),
        Some(text) => {
            put_long(out, 1);
            put_bytes(out, text.as_bytes());
        }
    }
}
