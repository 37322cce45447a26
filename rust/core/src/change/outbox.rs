//! What a write puts into the outbox, and the claim on it.

use super::event::Outgoing;
use super::stored::Name;
use crate::bson::write::{self, kind};
use crate::events::EventKind;

/// Who publishes the events of an outbox.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The replica.
    pub owner: &'a str,
    /// Tells this claim from all others.
    pub id: &'a str,
}

impl Claim<'_> {
    /// Into `$set`, with its parts set one by one: the server sets the date.
    pub(super) fn put_parts(&self, out: &mut Vec<u8>) {
        write::put_string(out, "outbox_claim.by", self.owner);
        write::put_string(out, "outbox_claim.id", self.id);
    }

    /// Into `$set`, where what is stored has no parts.
    ///
    /// Nothing can be set below what is no document, the server's clock neither, and no operator puts that clock into
    /// a document that is set whole. The author's must do: this repairs what others put there.
    pub(super) fn put_whole(&self, out: &mut Vec<u8>, now_ms: i64) {
        write::put_name(out, kind::DOCUMENT, Name::Claim.text());
        let claim = write::open(out);
        write::put_string(out, "by", self.owner);
        write::put_string(out, "id", self.id);
        write::put_datetime(out, "at", now_ms);
        write::close(out, claim);
    }
}

pub(super) fn put_outbox(out: &mut Vec<u8>, events: &[Outgoing]) {
    write::put_name(out, kind::ARRAY, Name::Outbox.text());
    let array = write::open(out);
    for (index, event) in events.iter().enumerate() {
        write::put_index(out, kind::DOCUMENT, index);
        let item = write::open(out);
        write::put_string(out, "kind", kind_text(event.kind));
        write::put_int64(out, "version", event.version);
        write::put_binary(out, "payload", &event.payload);
        write::close(out, item);
    }
    write::close(out, array);
}

/// As the outbox names it.
#[must_use]
pub const fn kind_text(kind: EventKind) -> &'static str {
    match kind {
        EventKind::MetadataUpdated => "metadata-updated",
        EventKind::Registered => "registered",
        EventKind::Unregistered => "unregistered",
        EventKind::AppVersionUpdated => "appversion-updated",
    }
}
