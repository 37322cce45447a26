//! From the commands for one endpoint to the one write that carries them all out, in order.

use super::apply::Applier;
use super::command::Command;
use super::event::Outgoing;
use super::outbox::Claim;
use super::preconditions::hold;
use super::refusal::Refusal;
use super::rules::{Matches, Rules};
use super::shown::app_version_text;
use super::state::State;
use super::statement::Change;
use super::stored::{Name, Stored};
use super::work::{Outcome, Planned, Request, Show, Status, Work, Write};
use crate::events::EventKind;
use crate::json::Printer;
use crate::limits::{ENDPOINT_WORK, MAX_OUTBOX_BYTES, REQUEST_WORK};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What plans are made with.
#[derive(Clone, Copy)]
pub struct Planner<'c> {
    /// What may be stored.
    pub rules: &'c Rules,
    /// Whether a key matches the pattern of the rules.
    pub matches: &'c Matches<'c>,
    /// Against keys that were chosen to collide.
    pub seed: u64,
    /// Who publishes the events.
    pub replica_id: &'c str,
    /// Unix milliseconds: in events, and as the dates of what changes.
    pub now_ms: i64,
    /// Whose the outbox is; None: nobody is told, and an outbox that is there is not minded.
    pub claim: Option<Claim<'c>>,
    /// Of one event.
    pub max_event_bytes: usize,
    /// Events that one write may put into an outbox.
    pub max_outbox: usize,
}

impl Planner<'_> {
    /// Plans one endpoint. A command that meets a bug is refused, and the others go on.
    #[must_use]
    pub fn plan(&self, work: &Work<'_>) -> Planned {
        let stored = match work.document.map(Stored::read) {
            None => Stored::default(),
            Some(Ok(stored)) => stored,
            Some(Err(_)) => return Planned::without(Status::Unusable, 0),
        };
        if self.claim.is_some() && stored.field(Name::Outbox).is_some() {
            return Planned::without(Status::Pending, stored.size as u64);
        }
        let state = State::read(work.endpoint_id, &stored);
        let mut draft = Draft {
            begun_at: state.version,
            state,
            work: stored.size as u64,
            outcomes: Vec::with_capacity(work.requests.len()),
            events: Vec::new(),
            event_bytes: 0,
        };
        let applier = self.applier();
        for request in &work.requests {
            if draft.is_full(self.max_outbox) {
                break;
            }
            draft.take(request, &applier);
        }
        let write = (!draft.events.is_empty()).then(|| {
            let change = Change::new(&stored, &draft.state);
            Write {
                condition: change.condition(self.claim.is_some()),
                update: change.update(&draft.events, self.claim, self.now_ms),
                document: change.document(),
            }
        });
        Planned {
            status: Status::Planned,
            outcomes: draft.outcomes,
            events: draft.events,
            before: draft.begun_at,
            write,
            work: draft.work,
        }
    }

    fn applier(&self) -> Applier<'_> {
        Applier {
            rules: self.rules,
            matches: self.matches,
            seed: self.seed,
            replica_id: self.replica_id,
            now_ms: self.now_ms,
            max_event_bytes: self.max_event_bytes,
        }
    }
}

/// One endpoint's plan while its commands are carried out, one on top of the other.
struct Draft<'a> {
    state: State<'a>,
    begun_at: Option<i64>,
    work: u64,
    outcomes: Vec<Result<Outcome, Refusal>>,
    events: Vec<Outgoing>,
    event_bytes: usize,
}

impl<'a> Draft<'a> {
    /// Whether the next command has to wait.
    fn is_full(&self, max_outbox: usize) -> bool {
        self.events.len() >= max_outbox
            || self.event_bytes >= MAX_OUTBOX_BYTES
            || (!self.outcomes.is_empty() && self.work >= ENDPOINT_WORK)
    }

    /// Carries one command out, or notes why not.
    fn take(&mut self, request: &Request<'a>, applier: &Applier<'_>) {
        let command = request.command;
        self.work += REQUEST_WORK + command.weight() as u64;
        if command.is_about_all() {
            self.work += self.state.metadata_bytes as u64;
        }
        let mut spent = 0;
        let done = catch_unwind(AssertUnwindSafe(|| {
            let (state, events) = self.carried_out(request, applier, &mut spent)?;
            let text = shown(request, state.as_ref().unwrap_or(&self.state));
            Ok((state, events, text))
        }));
        self.work += spent;
        let outcome = done.unwrap_or(Err(Refusal::Bug)).map(|(state, events, text)| {
            if let Some(state) = state {
                self.state = state;
            }
            self.note(events, request.show, text)
        });
        self.outcomes.push(outcome);
    }

    fn note(&mut self, events: Vec<Outgoing>, show: Show, text: Option<String>) -> Outcome {
        let size: usize = events.iter().map(|event| event.payload.len()).sum();
        self.event_bytes += size;
        self.work += size as u64;
        if show == Show::Metadata {
            self.work += self.state.metadata_bytes as u64;
        }
        let outcome = Outcome {
            changed: !events.is_empty(),
            version: self.state.version,
            created: events.iter().any(|event| event.kind == EventKind::Registered),
            text,
        };
        self.events.extend(events);
        outcome
    }

    fn carried_out(
        &self,
        request: &Request<'a>,
        applier: &Applier<'_>,
        spent: &mut u64,
    ) -> Result<(Option<State<'a>>, Vec<Outgoing>), Refusal> {
        let (state, command) = (&self.state, request.command);
        if !command.is_unconditional() {
            self.judge_conditions(request)?;
        }
        let (after, events) = applier.apply(state, command, request.correlation_id, spent)?;
        if !events.is_empty() && request.only_at.is_some_and(|version| version != self.begun_at) {
            return Err(Refusal::Superseded);
        }
        Ok((after, events))
    }

    /// RFC 9110, 13.2.1: what would be answered 404 anyway is not judged by its conditions.
    fn judge_conditions(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let (state, command) = (&self.state, request.command);
        if !state.known() {
            return Err(Refusal::EndpointUnknown);
        }
        if !state.readable && !command.repairs() {
            return Err(Refusal::Unusable);
        }
        if let Command::DeleteKey(key) = command
            && state.metadata.get(key).is_none()
        {
            return Err(Refusal::KeyUnknown(key.clone()));
        }
        let known = || request.key.is_none_or(|key| state.metadata.get(key).is_some());
        let (if_match, if_none_match) = (request.if_match, request.if_none_match);
        let unasked = if_match.is_none() && if_none_match.is_none();
        if unasked || hold(if_match, if_none_match, state.version, known()) {
            Ok(())
        } else {
            Err(Refusal::PreconditionFailed)
        }
    }
}

/// What the request wants to be shown of the endpoint.
fn shown(request: &Request<'_>, state: &State<'_>) -> Option<String> {
    match request.show {
        Show::Nothing => None,
        Show::Metadata => state.metadata.text(|_| true),
        Show::AppVersion => app_version_text(state),
        Show::Key => {
            let item = state.metadata.get(request.key?)?;
            let mut printer = Printer::default();
            super::metadata::put_text(&mut printer, item.value()).then_some(printer.out)
        }
    }
}

/// What is wrong with a command by itself, whatever is stored.
///
/// # Errors
/// [`Refusal::Invalid`] or [`Refusal::TooLarge`].
pub fn check(command: &Command, rules: &Rules, matches: &Matches<'_>) -> Result<(), Refusal> {
    if let Command::PatchMetadata(patch) = command {
        return patch.check(rules);
    }
    let Some(values) = command.values() else {
        return Ok(());
    };
    let metadata = values.metadata();
    let changed = values
        .items()
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_raw()));
    rules.judge_metadata(&metadata, changed, matches).map(|_| ())
}
