//! What goes into a plan and what comes out.

use super::command::Command;
use super::event::Outgoing;
use super::refusal::Refusal;

/// What the answer to a command shows as JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    #[default]
    Nothing,
    /// All metadata, as it is after the command.
    Metadata,
    /// The value of the request's key.
    Key,
    /// The application version.
    AppVersion,
}

impl Show {
    /// As the planner's contract numbers it.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Nothing),
            1 => Some(Self::Metadata),
            2 => Some(Self::Key),
            3 => Some(Self::AppVersion),
            _ => None,
        }
    }
}

/// A command with what came along.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub command: &'a Command,
    /// For events.
    pub correlation_id: &'a str,
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// The metadata key that is the resource, where it is not the whole endpoint.
    pub key: Option<&'a str>,
    /// What the answer shows.
    pub show: Show,
    /// Of a second try: where another version is stored, it may find its work done, but change nothing.
    pub only_at: Option<Option<i64>>,
}

/// The requests for one endpoint, in order, and what is stored.
#[derive(Clone, Debug)]
pub struct Work<'a> {
    /// Whose they are.
    pub endpoint_id: &'a str,
    /// Whole and raw; None: there is none.
    pub document: Option<&'a [u8]>,
    /// In order.
    pub requests: Vec<Request<'a>>,
}

/// A command was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether anybody can see a change.
    pub changed: bool,
    /// Of the endpoint afterwards.
    pub version: Option<i64>,
    /// Whether the endpoint was unknown before.
    pub created: bool,
    /// JSON of what the request wanted to be shown.
    pub text: Option<String>,
}

/// What became of one endpoint's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Commands were carried out or refused.
    Planned,
    /// The outbox holds events of an earlier change: nothing may follow yet.
    Pending,
    /// The document cannot even be repaired.
    Unusable,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// BSON: what the document must be like still.
    pub condition: Vec<u8>,
    /// BSON: operators.
    pub update: Vec<u8>,
    /// The document as it is stored then, once the outbox is cleared.
    pub document: Vec<u8>,
}

/// What is to be done for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What became of its work.
    pub status: Status,
    /// Of the first requests, in order.
    pub outcomes: Vec<Result<Outcome, Refusal>>,
    /// What is told.
    pub events: Vec<Outgoing>,
    /// The version that is stored.
    pub before: Option<i64>,
    /// None: nothing changes.
    pub write: Option<Write>,
    /// Units: about a byte read or written.
    pub work: u64,
}

impl Planned {
    pub(super) const fn without(status: Status, work: u64) -> Self {
        Self {
            status,
            outcomes: Vec::new(),
            events: Vec::new(),
            before: None,
            write: None,
            work,
        }
    }
}
