//! The filters of an application, and which of them a document matches or a change concerns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Filter;
use super::compare::rank;
use super::depends::{Likeness, Plain, Required, plain};
use super::elements::{kind, text};
use super::evaluate::View;
use crate::bson::Raw;
use crate::error::DocumentError;

/// What of an endpoint was changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Keys of its metadata that were added, removed or given another value.
    pub keys: &'a [&'a str],
    /// Whether its application version is another one.
    pub application_version: bool,
}

/// Compiled filters, each known by its position.
#[derive(Debug, Default)]
pub struct FilterSet {
    filters: Vec<Arc<Filter>>,
    /// Those that depend on all of the metadata.
    everything: Vec<u32>,
    /// Those that depend on the application version.
    application_version: Vec<u32>,
    /// Those that depend on a key.
    keys: BTreeMap<Box<str>, Vec<u32>>,
    required: RequiredIndex,
}

/// Filters by what they require of a document; each is in one place.
#[derive(Debug, Default)]
struct RequiredIndex {
    nothing: Vec<u32>,
    application_versions: BTreeMap<Box<str>, Vec<u32>>,
    keys: BTreeMap<Box<str>, KeyIndex>,
}

/// Filters that require one key.
#[derive(Debug, Default)]
struct KeyIndex {
    /// With any value.
    any: Vec<u32>,
    values: BTreeMap<Likeness, Vec<u32>>,
}

impl FilterSet {
    /// A set of these filters; at most 2^32 of them.
    #[must_use]
    pub fn new(filters: Vec<Arc<Filter>>) -> Self {
        let mut set = Self::default();
        for (position, filter) in (0..).zip(&filters) {
            set.index(position, filter);
        }
        set.filters = filters;
        set
    }

    fn index(&mut self, position: u32, filter: &Filter) {
        let dependencies = &filter.dependencies;
        if dependencies.everything {
            self.everything.push(position);
        }
        if dependencies.application_version {
            self.application_version.push(position);
        }
        for key in &dependencies.keys {
            self.keys.entry(key.clone()).or_default().push(position);
        }
        let place = match filter.required.clone() {
            Required::Nothing => &mut self.required.nothing,
            Required::ApplicationVersion(version) => {
                self.required.application_versions.entry(version).or_default()
            }
            Required::Key(key) => &mut self.required.keys.entry(key).or_default().any,
            Required::Value(key, likeness) => {
                let key = self.required.keys.entry(key).or_default();
                key.values.entry(likeness).or_default()
            }
        };
        place.push(position);
    }

    /// How many filters there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Positions of the filters whose verdict a change can alter, in order: a superset of those whose it alters, if
    /// the document is one that the register wrote.
    #[must_use]
    pub fn affected(&self, change: &Change<'_>) -> Vec<u32> {
        let mut positions = self.everything.clone();
        if change.keys.is_empty() {
            positions.clear();
        }
        if change.application_version {
            positions.extend(&self.application_version);
        }
        for key in change.keys {
            positions.extend(self.keys.get(*key).into_iter().flatten());
        }
        in_order(positions)
    }

    /// The verdict of every filter: bit `position % 64` of word `position / 64`.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if what was read of the document is not BSON.
    pub fn verdicts(&self, document: &[u8]) -> Result<Vec<u64>, DocumentError> {
        let mut words = vec![0; self.filters.len().div_ceil(64)];
        let view = View::many(document)?;
        for (position, filter) in self.filters.iter().enumerate() {
            words[position / 64] |= u64::from(filter.matches_view(&view)?) << (position % 64);
        }
        Ok(words)
    }

    /// Positions of the filters that match, in order. Filters that require what the document does not have are not
    /// evaluated.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if what was read of the document is not BSON.
    pub fn matching(&self, document: &[u8]) -> Result<Vec<u32>, DocumentError> {
        let mut positions = match plain(document)? {
            Some(plain) => self.required.candidates(&plain)?,
            None => self.all(),
        };
        self.keep_matching(&mut positions, document)?;
        Ok(positions)
    }

    /// Positions of the filters that match the new document and not the old, and the other way round; both in order.
    /// A document that is not there matches nothing.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if what was read of a document is not BSON.
    pub fn changes(
        &self,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        change: &Change<'_>,
    ) -> Result<(Vec<u32>, Vec<u32>), DocumentError> {
        let (old, new) = match (old, new) {
            (None, None) => return Ok(Default::default()),
            (None, Some(new)) => return Ok((self.matching(new)?, Vec::new())),
            (Some(old), None) => return Ok((Vec::new(), self.matching(old)?)),
            (Some(old), Some(new)) => (old, new),
        };
        let plain = plain(old)?.is_some() && plain(new)?.is_some();
        let affected = if plain { self.affected(change) } else { self.all() };
        let (mut matched, mut unmatched) = (Vec::new(), Vec::new());
        let (old, new) = (View::many(old)?, View::many(new)?);
        for position in affected {
            let filter = &self.filters[position as usize];
            match (filter.matches_view(&old)?, filter.matches_view(&new)?) {
                (false, true) => matched.push(position),
                (true, false) => unmatched.push(position),
                _ => {}
            }
        }
        Ok((matched, unmatched))
    }

    fn all(&self) -> Vec<u32> {
        (0..).zip(&self.filters).map(|(position, _)| position).collect()
    }

    fn keep_matching(&self, positions: &mut Vec<u32>, document: &[u8]) -> Result<(), DocumentError> {
        let view = View::many(document)?;
        let mut outcome = Ok(());
        positions.retain(|&position| {
            outcome.is_ok()
                && self.filters[position as usize]
                    .matches_view(&view)
                    .unwrap_or_else(|error| {
                        outcome = Err(error);
                        false
                    })
        });
        outcome
    }
}

fn in_order(mut positions: Vec<u32>) -> Vec<u32> {
    positions.sort_unstable();
    positions.dedup();
    positions
}

impl RequiredIndex {
    /// Positions of the filters that may match, in order.
    fn candidates(&self, document: &Plain<'_>) -> Result<Vec<u32>, DocumentError> {
        let mut positions = self.nothing.clone();
        let application_version = document.application_version.map_or(Ok(None), text_of)?;
        if let Some(version) = application_version {
            positions.extend(self.application_versions.get(version).into_iter().flatten());
        }
        document.each_value(|key, value| {
            let Some(index) = self.keys.get(key) else { return };
            match value {
                None => positions.extend(&index.any),
                Some(value) if !index.values.is_empty() => {
                    let likeness = Likeness::of(value);
                    let found = likeness.and_then(|likeness| index.values.get(&likeness));
                    positions.extend(found.into_iter().flatten());
                }
                Some(_) => {}
            }
        })?;
        Ok(in_order(positions))
    }
}

/// A text; None for other values.
fn text_of(value: Raw<'_>) -> Result<Option<&str>, DocumentError> {
    if rank(value.kind) != rank(kind::STRING) {
        return Ok(None);
    }
    Ok(std::str::from_utf8(text(value.bytes)?).ok())
}
