//! What a change does to metadata, as 15/EME tells it: keys added, removed and updated.

use super::metadata::{Item, Metadata, Places, put_text};
use super::refusal::Refusal;
use super::rules::NO_JSON;
use super::stored::UNDEFINED;
use crate::bson::Raw;
use crate::bson::write::kind;
use crate::json::Printer;
use std::ops::Range;

/// JSON text of a value: a part of [`Diff::texts`]; None is JSON null.
pub(super) type Text = Option<Range<usize>>;

/// A key of one of the maps, by its place in the new metadata (of a removed one: in the old).
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) at: usize,
    /// None too where it is removed.
    pub(super) new: Text,
    /// None too where it is added.
    pub(super) old: Text,
}

/// From old metadata to new. The order of keys is no difference; the JSON text of a value decides.
#[derive(Debug)]
pub(super) struct Diff {
    pub(super) added: Vec<Told>,
    pub(super) removed: Vec<Told>,
    pub(super) updated: Vec<Told>,
    /// Whether all old texts are those that gets printed. A value without JSON form is told as null.
    pub(super) exact: bool,
    pub(super) texts: String,
    /// For each old key the place of the new value that it gets.
    fates: Vec<Fate>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Gone,
    Kept,
    Updated(usize),
}

impl Diff {
    /// No change at all.
    pub(super) const fn none() -> Self {
        Self {
            added: Vec::new(),
            removed: Vec::new(),
            updated: Vec::new(),
            exact: true,
            texts: String::new(),
            fates: Vec::new(),
        }
    }

    /// Compares. `seed`: not known to those who choose keys.
    ///
    /// # Errors
    /// A new value has no JSON form.
    pub(super) fn between(old: &Metadata<'_>, new: &Metadata<'_>, seed: u64) -> Result<Self, Refusal> {
        let mut diff = Self::none();
        diff.fates = vec![Fate::Gone; old.items().len()];
        let mut printer = Printer::default();
        let mut places = Places::new(seed);
        for (at, item) in new.items().iter().enumerate() {
            let place = places.find(old.items(), &item.key);
            match place.and_then(|place| Some((place, old.items().get(place)?))) {
                None => {
                    let new = new_text(&mut printer, item)?;
                    diff.added.push(Told { at, new, old: None });
                }
                Some((place, before)) => {
                    let told = diff.compare(&mut printer, before, item)?;
                    let fate = if told.is_some() {
                        Fate::Updated(at)
                    } else {
                        Fate::Kept
                    };
                    if let Some(kept) = diff.fates.get_mut(place) {
                        *kept = fate;
                    }
                    diff.updated.extend(told.map(|(new, old)| Told { at, new, old }));
                }
            }
        }
        for (at, item) in old.items().iter().enumerate() {
            if matches!(diff.fates.get(at), Some(Fate::Gone)) {
                let old = diff.old_text(&mut printer, item.value());
                diff.removed.push(Told { at, new: None, old });
            }
        }
        diff.texts = printer.out;
        Ok(diff)
    }

    /// The texts of a value that has changed, new and old; None if it has not.
    fn compare<'v>(
        &mut self,
        printer: &mut Printer<'v>,
        before: &'v Item<'_>,
        item: &'v Item<'_>,
    ) -> Result<Option<(Text, Text)>, Refusal> {
        let (old, new) = (before.value(), item.value());
        if old == new || is_surely_same(old, new) {
            return Ok(None);
        }
        let start = printer.out.len();
        let has_text = put_text(printer, old);
        let middle = printer.out.len();
        if !put_text(printer, new) {
            return Err(no_json(item));
        }
        if has_text && printer.out[start..middle] == printer.out[middle..] {
            printer.out.truncate(start);
            return Ok(None);
        }
        self.exact &= has_text;
        let told = |value: Raw<'_>, range: Range<usize>| (!is_null(value)).then_some(range);
        let old = told(old, start..middle).filter(|_| has_text);
        Ok(Some((told(new, middle..printer.out.len()), old)))
    }

    fn old_text<'v>(&mut self, printer: &mut Printer<'v>, value: Raw<'v>) -> Text {
        let start = printer.out.len();
        let has_text = put_text(printer, value);
        self.exact &= has_text;
        (has_text && !is_null(value)).then_some(start..printer.out.len())
    }

    /// Whether nothing changed.
    pub(super) const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.updated.is_empty()
    }

    /// The items of the new metadata that are added or updated.
    pub(super) fn changed<'m>(
        &'m self,
        new: &'m Metadata<'_>,
    ) -> impl Iterator<Item = (&'m str, Raw<'m>)> + Clone + 'm {
        self.added
            .iter()
            .chain(&self.updated)
            .filter_map(|told| new.items().get(told.at))
            .map(|item| (&*item.key, item.value()))
    }

    /// Every key that is touched.
    pub(super) fn touched<'m>(
        &'m self,
        old: &'m Metadata<'_>,
        new: &'m Metadata<'_>,
    ) -> impl Iterator<Item = &'m str> + Clone + 'm {
        let removed = self.removed.iter().filter_map(|told| old.items().get(told.at));
        self.changed(new)
            .map(|(key, _)| key)
            .chain(removed.map(|item| &*item.key))
    }

    /// `new` in the order that is stored: keys of `old` keep their places, others follow. A value that is not
    /// changed stays the stored one, with its BSON type.
    pub(super) fn merged<'a>(&self, old: &Metadata<'a>, new: &Metadata<'a>) -> Metadata<'a> {
        let mut items = Vec::with_capacity(old.items().len() + self.added.len());
        for (item, fate) in old.items().iter().zip(&self.fates) {
            match *fate {
                Fate::Gone => {}
                Fate::Kept => items.push(item.clone()),
                Fate::Updated(at) => items.extend(new.items().get(at).cloned()),
            }
        }
        items.extend(
            self.added
                .iter()
                .filter_map(|told| new.items().get(told.at).cloned()),
        );
        Metadata::new(items)
    }
}

fn new_text<'v>(printer: &mut Printer<'v>, item: &'v Item<'_>) -> Result<Text, Refusal> {
    let start = printer.out.len();
    if !put_text(printer, item.value()) {
        return Err(no_json(item));
    }
    Ok((!is_null(item.value())).then_some(start..printer.out.len()))
}

fn no_json(item: &Item<'_>) -> Refusal {
    Refusal::invalid(format!("metadata.{}", item.key), NO_JSON)
}

const fn is_null(value: Raw<'_>) -> bool {
    matches!(value.kind, kind::NULL | UNDEFINED)
}

/// Whether two values that differ in their bytes print alike, as far as that is cheap to say.
fn is_surely_same(old: Raw<'_>, new: Raw<'_>) -> bool {
    is_null(old) && is_null(new)
}

#[cfg(test)]
mod tests;
