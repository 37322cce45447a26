//! From what is stored and what shall be to the store's conditional write, and the document that it leaves.

use super::event::Outgoing;
use super::outbox::{Claim, put_outbox};
use super::state::State;
use super::stored::{Field, Name, Stored, UNDEFINED};
use crate::bson::write::{self, kind};

/// What a field of the new document shall be.
enum New<'s> {
    Text(&'s str),
    Date(i64),
    Metadata,
    Version,
}

/// What a plan comes to for the fields of one document.
pub(super) struct Change<'s, 'a> {
    stored: &'s Stored<'a>,
    state: &'s State<'a>,
    /// In the order of the statement.
    set: Vec<(Name, New<'s>)>,
    unset: Vec<Name>,
}

impl<'s, 'a> Change<'s, 'a> {
    pub(super) fn new(stored: &'s Stored<'a>, state: &'s State<'a>) -> Self {
        let mut change = Self {
            stored,
            state,
            set: vec![(Name::Version, New::Version)],
            unset: Vec::new(),
        };
        for name in Name::DESCRIBING {
            change.compare(name);
        }
        change
    }

    fn compare(&mut self, name: Name) {
        let Self { stored, state, .. } = *self;
        let wanted = self.wanted(name);
        let is_there = stored.present(name).is_some();
        let is_read = match name {
            Name::Metadata | Name::DeletedAt => is_there,
            _ if is_text(name) => stored.text(name).is_some(),
            _ => stored.date(name).is_some(),
        };
        match wanted {
            Some(New::Text(text)) if stored.text(name) == Some(text) => {}
            Some(New::Date(date)) if name != Name::DeletedAt && stored.date(name) == Some(date) => {}
            Some(New::Metadata) if !state.new_metadata => {}
            Some(new) => self.set.push((name, new)),
            // A tombstone keeps its date, and metadata that nobody touched are not looked at.
            None if name == Name::DeletedAt && state.deleted => {}
            None if is_read || (is_there && state.repaired) => self.unset.push(name),
            None => {}
        }
    }

    /// None: there shall be no such field.
    fn wanted(&self, name: Name) -> Option<New<'s>> {
        let state = self.state;
        if name == Name::DeletedAt {
            return state.deleted_at.map(New::Date);
        }
        if !state.known() {
            return None;
        }
        match name {
            Name::Application => state.names.application.map(New::Text),
            Name::ApplicationVersion => state.names.app_version.map(New::Text),
            Name::EndpointToken => state.names.token.map(New::Text),
            Name::Registration => state.registration.map(New::Text),
            Name::CreatedAt => state.created_at.map(New::Date),
            Name::MetadataUpdatedAt => state.metadata_updated_at.map(New::Date),
            Name::AppVersionRegisteredAt => state.app_version_registered_at.map(New::Date),
            Name::Metadata => Some(New::Metadata),
            Name::Version => Some(New::Version),
            Name::DeletedAt | Name::Id | Name::Outbox | Name::Claim => None,
        }
    }

    /// The names of `$unset`, in order.
    fn gone(&self) -> impl Iterator<Item = &'a [u8]> {
        let known = self.unset.iter().filter_map(|&name| self.stored.field(name));
        let others = self
            .stored
            .fields
            .iter()
            .filter(|field| self.is_other_that_goes(field));
        known.chain(others).map(|field| field.name)
    }

    /// Fields that we know nothing of, where they shall go.
    fn is_other_that_goes(&self, field: &Field<'_>) -> bool {
        let goes = self.state.wiped || (self.state.repaired && !field.sound);
        goes && field.known().is_none() && can_be_named(field.name)
    }

    fn put(&self, out: &mut Vec<u8>, name: Name, new: &New<'_>) {
        match new {
            New::Text(text) => write::put_string(out, name.text(), text),
            New::Date(unix_ms) => write::put_datetime(out, name.text(), *unix_ms),
            New::Metadata => self.state.metadata.put(out, name.text()),
            New::Version => {
                write::put_int64(out, name.text(), self.state.version.unwrap_or_default());
            }
        }
    }

    /// What the document must be like still; `tells`: the write puts events into the outbox.
    pub(super) fn condition(&self, tells: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.state.id.len());
        let document = write::open(&mut out);
        write::put_string(&mut out, "_id", self.state.id);
        self.put_version_condition(&mut out);
        if self.stored.exists() && tells {
            write::put_name(&mut out, kind::DOCUMENT, Name::Outbox.text());
            let missing = write::open(&mut out);
            write::put_boolean(&mut out, "$exists", false);
            write::close(&mut out, missing);
        }
        write::close(&mut out, document);
        out
    }

    /// As it is stored. What is no number could be taken for a pattern or an operator.
    fn put_version_condition(&self, out: &mut Vec<u8>) {
        const NAME: &str = Name::Version.text();
        if !self.stored.exists() {
            // Of no document: the condition of an insertion must match nothing.
            return write::put_int64(out, NAME, -1);
        }
        let Some(Field { value, .. }) = self.stored.field(Name::Version) else {
            return write::put_null(out, NAME);
        };
        if let kind::INT32 | kind::INT64 | kind::DOUBLE | kind::NULL = value.kind {
            return write::put_raw(out, NAME, *value);
        }
        write::put_name(out, kind::DOCUMENT, NAME);
        let operator = write::open(out);
        if value.kind == UNDEFINED {
            write::put_int32(out, "$type", UNDEFINED.into());
        } else {
            write::put_raw(out, "$eq", *value);
        }
        write::close(out, operator);
    }

    /// Operators; without a claim nothing but the fields. `now_ms`: the author's clock, for the claim of last resort.
    pub(super) fn update(&self, events: &[Outgoing], claim: Option<Claim<'_>>, now_ms: i64) -> Vec<u8> {
        let claim_has_parts = !self.stored.has_broken_claim();
        let payloads: usize = events.iter().map(|event| event.payload.len() + 64).sum();
        let mut out = Vec::with_capacity(self.state.metadata_bytes + payloads + 512);
        let document = write::open(&mut out);
        write::put_name(&mut out, kind::DOCUMENT, "$set");
        let set = write::open(&mut out);
        for (name, new) in &self.set {
            self.put(&mut out, *name, new);
        }
        if let Some(claim) = claim {
            put_outbox(&mut out, events);
            if claim_has_parts {
                claim.put_parts(&mut out);
            } else {
                claim.put_whole(&mut out, now_ms);
            }
        }
        write::close(&mut out, set);
        if claim.is_some() && claim_has_parts {
            // The server's clock, not ours: replicas' clocks may differ.
            put_operator(&mut out, "$currentDate", |out| {
                write::put_boolean(out, "outbox_claim.at", true);
            });
        }
        if self.gone().next().is_some() {
            put_operator(&mut out, "$unset", |out| {
                for name in self.gone() {
                    put_bytes_name(out, kind::STRING, name);
                    write::put_text(out, "");
                }
            });
        }
        if self.stored.exists() {
            // An insertion would change the `_id` that the condition names, which is refused.
            put_operator(&mut out, "$setOnInsert", |out| write::put_null(out, "_id"));
        }
        write::close(&mut out, document);
        out
    }

    /// The document once it is written and its outbox cleared, as MongoDB lays it out.
    ///
    /// What stays keeps its place, what is new comes behind it in the order of names (MongoDB 5.0 and later); of an
    /// inserted one `_id` and `version` come first, since the condition names them.
    pub(super) fn document(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.stored.size + self.state.metadata_bytes + 256);
        let document = write::open(&mut out);
        let mut new: Vec<&(Name, New<'_>)> = self.set.iter().collect();
        new.sort_by_key(|(name, _)| name.text());
        if !self.stored.exists() {
            write::put_string(&mut out, Name::Id.text(), self.state.id);
            self.put(&mut out, Name::Version, &New::Version);
            new.retain(|(name, _)| *name != Name::Version);
        }
        for field in &self.stored.fields {
            let known = field.known();
            if let Some(at) = new.iter().position(|(name, _)| known == Some(*name)) {
                let (name, value) = new.remove(at);
                self.put(&mut out, *name, value);
            } else if !self.goes(field, known) {
                put_bytes_name(&mut out, field.value.kind, field.name);
                out.extend_from_slice(field.value.bytes);
            }
        }
        for (name, value) in new {
            self.put(&mut out, *name, value);
        }
        write::close(&mut out, document);
        out
    }

    /// Whether the new document has it no more.
    fn goes(&self, field: &Field<'_>, known: Option<Name>) -> bool {
        match known {
            Some(Name::Outbox | Name::Claim) => true,
            Some(name) => self.unset.contains(&name),
            None => self.is_other_that_goes(field),
        }
    }
}

const fn is_text(name: Name) -> bool {
    matches!(
        name,
        Name::Application | Name::ApplicationVersion | Name::EndpointToken | Name::Registration
    )
}

/// Whether a path means this field and no other.
fn can_be_named(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'.') && !name.starts_with(b"$")
}

/// Begins an element whose name is perhaps no UTF-8.
fn put_bytes_name(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    out.push(kind);
    out.extend_from_slice(name);
    out.push(0);
}

fn put_operator(out: &mut Vec<u8>, name: &str, put: impl FnOnce(&mut Vec<u8>)) {
    write::put_name(out, kind::DOCUMENT, name);
    let operator = write::open(out);
    put(out);
    write::close(out, operator);
}
