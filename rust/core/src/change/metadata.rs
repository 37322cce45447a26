//! Metadata between two commands: keys and raw values, in the order in which they are stored.

use super::RawValue;
use crate::bson::Raw;
use crate::bson::write::{self, kind};
use crate::json::{Printable, Printer};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// Level of the document that a metadata value stands in: the stored one, the array, the item.
const ITEM: u32 = 3;

/// One key and its value.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// UTF-8; NULs are possible in what came from outside.
    pub key: Cow<'a, str>,
    /// The type of the value.
    pub kind: u8,
    /// Its bytes, well-formed.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Item<'a> {
    /// Of something that lives longer.
    #[must_use]
    pub const fn borrowed(key: &'a str, value: Raw<'a>) -> Self {
        Self {
            key: Cow::Borrowed(key),
            kind: value.kind,
            bytes: Cow::Borrowed(value.bytes),
        }
    }

    /// Of a value that was made.
    #[must_use]
    pub fn owned(key: String, value: RawValue) -> Self {
        Self {
            key: Cow::Owned(key),
            kind: value.kind(),
            bytes: Cow::Owned(value.into_bytes()),
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Raw<'_> {
        Raw {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }

    /// Bytes that it takes as an element of the stored array, whose place has so many digits.
    fn size(&self, digits: usize) -> usize {
        digits + 24 + self.key.len() + self.bytes.len()
    }
}

/// Appends JSON text as gets print a value; false, and nothing is appended, if it has none.
pub(super) fn put_text<'v>(printer: &mut Printer<'v>, value: Raw<'v>) -> bool {
    let start = printer.out.len();
    let printed = value.value().and_then(|value| printer.value(&value, ITEM));
    let has_text = matches!(printed, Ok(true));
    if !has_text {
        printer.out.truncate(start);
    }
    has_text
}

/// Keys and values, each key once.
#[derive(Clone, Debug, Default)]
pub struct Metadata<'a> {
    items: Vec<Item<'a>>,
}

impl<'a> Metadata<'a> {
    /// Of items that have each key once.
    #[must_use]
    pub const fn new(items: Vec<Item<'a>>) -> Self {
        Self { items }
    }

    /// In order.
    #[must_use]
    pub fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// The item of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Item<'a>> {
        self.items.iter().find(|item| item.key == key)
    }

    /// The same with these keys set: in their places, or behind.
    pub(super) fn with(&self, values: &'a [(String, RawValue)], seed: u64) -> Self {
        let mut places = Places::new(seed);
        let mut items = self.items.clone();
        for (key, value) in values {
            let item = Item::borrowed(key, value.as_raw());
            match places.find(&self.items, key) {
                Some(at) => items[at] = item,
                None => items.push(item),
            }
        }
        Self { items }
    }

    /// The same without this key.
    pub(super) fn without(&self, key: &str) -> Self {
        let items = self.items.iter().filter(|item| item.key != key);
        Self {
            items: items.cloned().collect(),
        }
    }

    /// Bytes of the document `{"": metadata}`, with the metadata as it is stored.
    #[must_use]
    pub fn size(&self) -> usize {
        let (mut digits, mut next) = (1, 10);
        let mut size = 12;
        for (place, item) in self.items.iter().enumerate() {
            if place == next {
                (digits, next) = (digits + 1, next * 10);
            }
            size += item.size(digits);
        }
        size
    }

    /// Appends the array as it is stored, with this name.
    pub(super) fn put(&self, out: &mut Vec<u8>, name: &str) {
        write::put_name(out, kind::ARRAY, name);
        let array = write::open(out);
        for (index, item) in self.items.iter().enumerate() {
            write::put_index(out, kind::DOCUMENT, index);
            let pair = write::open(out);
            write::put_string(out, "key", &item.key);
            write::put_raw(out, "value", item.value());
            write::close(out, pair);
        }
        write::close(out, array);
    }

    /// The JSON object of those items that are `wanted`; None if a value among them has no JSON form.
    #[must_use]
    pub fn text(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut printer = Printer::with_capacity(self.size());
        let open = printer.open();
        for item in self.items.iter().filter(|item| wanted(&item.key)) {
            let value = item.value().value().ok()?;
            printer.member(&open, &item.key, &value, ITEM).ok()?;
        }
        // Its keys are the endpoint's, whatever they are called: never a reference.
        let printable: Printable = printer.close(&open, false);
        printable.then_some(printer.out)
    }
}

/// Finds keys among items: most stand where they are sought first, behind the one that was found before.
#[derive(Debug)]
pub(super) struct Places {
    next: usize,
    seed: u64,
    table: Option<HashTable<usize>>,
}

/// Items up to which they are compared one by one.
const SCANNED: usize = 16;

impl Places {
    /// `seed`: not known to those who choose keys.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            next: 0,
            seed,
            table: None,
        }
    }

    /// The place of `key` in `items`, which must be the same each time.
    pub(super) fn find(&mut self, items: &[Item<'_>], key: &str) -> Option<usize> {
        let found = match items.get(self.next) {
            Some(item) if item.key == key => Some(self.next),
            _ if items.len() <= SCANNED => items.iter().position(|item| item.key == key),
            _ => self.look_up(items, key),
        };
        if let Some(at) = found {
            self.next = at + 1;
        }
        found
    }

    fn look_up(&mut self, items: &[Item<'_>], key: &str) -> Option<usize> {
        let hasher = FixedState::with_seed(self.seed);
        let hash = |at: usize| hasher.hash_one(items.get(at).map_or("", |item| &item.key));
        let table = self.table.get_or_insert_with(|| {
            let mut table = HashTable::with_capacity(items.len());
            for at in 0..items.len() {
                table.insert_unique(hash(at), at, |&at| hash(at));
            }
            table
        });
        let is_it = |at: &usize| items.get(*at).is_some_and(|item| item.key == key);
        table.find(hasher.hash_one(key), is_it).copied()
    }
}
