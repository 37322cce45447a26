//! An entry after a change that an event tells of exactly (rule 12 of "Coherence" in ARCHITECTURE.md).
//!
//! What comes out is byte for byte what [`super::from_bson`] would make of the changed document. Where that is not
//! certain there is no such entry: whoever asks drops what is cached, and the next get loads it.

use super::index::{Fields, key_text, starts_with_key, tag};
use super::{Entry, Texts};
use crate::bugs::{Bug, Bugs};
use crate::events::{MetadataChange, MetadataChanges};
use crate::json::{is_compact_json, is_plain, put_escaped, put_string};
use crate::limits::{MAX_DOCUMENT, PROJECT_SCAN_LIMIT};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A metadata updated event that is exact.
#[derive(Clone, Copy, Debug)]
pub struct Amendment<'a> {
    /// The event, 15/EME.
    pub payload: &'a [u8],
    /// The version that it changed.
    pub base: i64,
    /// The version that it made.
    pub version: i64,
    /// Should not be known to those who choose keys.
    pub hash_seed: u64,
}

/// The entry as it is after the change; None if the change is to another version than the entry's, is not
/// well-formed to its last byte, or does not fit the entry in every key and old value.
#[must_use]
pub fn amended(entry: &Entry, amendment: &Amendment<'_>, bugs: Bugs) -> Option<Entry> {
    let any_version = bugs.has(Bug::AppliesToAnyVersion);
    if entry.version() != Some(amendment.base) && !any_version {
        return None;
    }
    let changes = MetadataChanges::read(amendment.payload).ok()?;
    let app_version = match (changes.app_version, entry.app_version()) {
        ("", old @ (None | Some(""))) => old,
        ("", Some(_)) => return None,
        (new, _) => Some(new),
    };
    let mut draft = Draft::new(entry, amendment.hash_seed, any_version);
    for change in changes {
        draft.take(change.ok()?)?;
    }
    let (json, fields) = draft.print(amendment.payload.len());
    if json.len() > MAX_DOCUMENT {
        return None;
    }
    let texts = Texts {
        id: entry.id(),
        app_version,
        version: Some(amendment.version),
        json: &json,
    };
    Entry::lay_out(&texts, fields.iter().copied()).ok()
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug)]
enum Fate<'a> {
    Kept,
    Removed,
    /// It gets this value in the place of the text from `value` on.
    Updated {
        value: usize,
        new: &'a str,
    },
    /// It was not there, and is in [`Draft::added`].
    Added,
}

/// One member, where its text stands and what becomes of it.
#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    tag: u8,
    start: usize,
    end: usize,
    fate: Fate<'a>,
}

/// An entry's members on their way to another version.
struct Draft<'a> {
    fields: Fields<'a>,
    /// The entry's members in their order, then the added ones in theirs.
    members: Vec<Member<'a>>,
    /// The texts of added members.
    added: String,
    /// Members compared one by one so far.
    scanned: usize,
    /// Places among the members by hash of their keys, once that is less work than comparing.
    table: Option<HashTable<u32>>,
    hash_seed: u64,
    any_version: bool,
}

impl<'a> Draft<'a> {
    fn new(entry: &'a Entry, hash_seed: u64, any_version: bool) -> Self {
        let fields = entry.fields();
        let member = |(at, &tag)| Member {
            tag,
            start: fields.start(at),
            end: fields.end(at),
            fate: Fate::Kept,
        };
        // A few more than there are: most events add one key or none.
        let mut members = Vec::with_capacity(fields.len() + 4);
        members.extend(fields.tags.iter().enumerate().map(member));
        Self {
            fields,
            members,
            added: String::new(),
            scanned: 0,
            table: None,
            hash_seed,
            any_version,
        }
    }

    /// Takes one change; None if it does not fit.
    fn take(&mut self, change: MetadataChange<'a>) -> Option<()> {
        match change {
            MetadataChange::Removed { key, old } => self.change(key, old, |_| Fate::Removed),
            MetadataChange::Updated { key, old, new } => {
                let new = new_value(new)?;
                self.change(key, old, |value| Fate::Updated { value, new })
            }
            MetadataChange::Added { key, new } => self.add(key, new_value(new)?),
        }
    }

    /// Gives the member with this key and value another fate, which is made of where its value stands.
    fn change(&mut self, key: &str, old: Option<&str>, fate: impl FnOnce(usize) -> Fate<'a>) -> Option<()> {
        let old = json_text(old)?;
        let mut escaped = String::new();
        let key_text = printed(key, &mut escaped);
        let Some(at) = self.find(key, key_text) else {
            return self.any_version.then_some(());
        };
        let member = self.members.get_mut(at)?;
        let value = member.start + key_text.len() + r#""":"#.len();
        let fits = self.any_version || self.fields.json.get(value..member.end) == Some(old.as_bytes());
        // A key that is met again, or was added, is there twice.
        if !fits || !matches!(member.fate, Fate::Kept) {
            return None;
        }
        member.fate = fate(value);
        Some(())
    }

    fn add(&mut self, key: &str, value: &str) -> Option<()> {
        let mut escaped = String::new();
        if self.find(key, printed(key, &mut escaped)).is_some() {
            return None;
        }
        let start = self.added.len();
        put_string(&mut self.added, key);
        self.added.push(':');
        self.added.push_str(value);
        self.members.push(Member {
            tag: tag(key.as_bytes()),
            start,
            end: self.added.len(),
            fate: Fate::Added,
        });
        if let Some(mut table) = self.table.take() {
            self.put(&mut table, self.members.len() - 1);
            self.table = Some(table);
        }
        Some(())
    }

    /// The place of the member with this key, removed ones included; `key_text`: as it stands in JSON.
    fn find(&mut self, key: &str, key_text: &str) -> Option<usize> {
        if self.table.is_none() && self.scanned < PROJECT_SCAN_LIMIT {
            self.scanned += self.members.len();
            let (members, tag) = (&self.members, tag(key.as_bytes()));
            return members
                .iter()
                .position(|member| member.tag == tag && self.has_key(member, key_text));
        }
        let table = self.table.take().unwrap_or_else(|| self.hashed());
        let found = table.find(self.hash(key_text.as_bytes()), |&at| {
            self.members
                .get(at as usize)
                .is_some_and(|member| self.has_key(member, key_text))
        });
        let found = found.map(|&at| at as usize);
        self.table = Some(table);
        found
    }

    fn has_key(&self, member: &Member<'_>, key_text: &str) -> bool {
        starts_with_key(self.key_onwards(member), key_text.as_bytes())
    }

    /// The text of a member from behind its key's opening quote.
    fn key_onwards(&self, member: &Member<'_>) -> &[u8] {
        let source = match member.fate {
            Fate::Added => self.added.as_bytes(),
            Fate::Kept | Fate::Removed | Fate::Updated { .. } => self.fields.json,
        };
        source.get(member.start + 1..member.end).unwrap_or_default()
    }

    /// All members by their keys: linear where comparing one by one would be quadratic.
    #[cold]
    fn hashed(&self) -> HashTable<u32> {
        let mut table = HashTable::with_capacity(self.members.len());
        (0..self.members.len()).for_each(|at| self.put(&mut table, at));
        table
    }

    fn put(&self, table: &mut HashTable<u32>, at: usize) {
        let hash = |&at: &u32| {
            let member = self.members.get(at as usize);
            self.hash(member.map_or(&[], |member| key_text(self.key_onwards(member))))
        };
        table.insert_unique(hash(&(at as u32)), at as u32, hash);
    }

    fn hash(&self, key_text: &[u8]) -> u64 {
        FixedState::with_seed(self.hash_seed).hash_one(key_text)
    }

    /// The JSON after all changes, and for each member its tag and where it starts. `more`: about how many bytes
    /// the JSON may grow by.
    fn print(&self, more: usize) -> (String, Vec<(u8, usize)>) {
        let old = std::str::from_utf8(self.fields.json).unwrap_or_default();
        let mut json = String::with_capacity(old.len() + more);
        let mut fields = Vec::with_capacity(self.members.len());
        json.push('{');
        for member in &self.members {
            if matches!(member.fate, Fate::Removed) {
                continue;
            }
            if !fields.is_empty() {
                json.push(',');
            }
            fields.push((member.tag, json.len()));
            let (source, end, new) = match member.fate {
                Fate::Kept | Fate::Removed => (old, member.end, ""),
                Fate::Updated { value, new } => (old, value, new),
                Fate::Added => (self.added.as_str(), member.end, ""),
            };
            json.push_str(source.get(member.start..end).unwrap_or_default());
            json.push_str(new);
        }
        json.push('}');
        (json, fields)
    }
}

/// A key as it stands in JSON, between the quotes.
fn printed<'a>(key: &'a str, escaped: &'a mut String) -> &'a str {
    if is_plain(key.as_bytes()) {
        return key;
    }
    put_escaped(escaped, key);
    escaped
}

/// The JSON text of a value in the event. A text `null` is one that the publisher would not have written.
fn json_text(value: Option<&str>) -> Option<&str> {
    match value {
        None => Some("null"),
        Some("null") => None,
        Some(text) => Some(text),
    }
}

/// The same of a value that is to be printed, which must be one that is printed so.
fn new_value(value: Option<&str>) -> Option<&str> {
    json_text(value).filter(|text| is_compact_json(text))
}

#[cfg(test)]
mod tests;
