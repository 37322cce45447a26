//! What a command makes of an endpoint, and the events that tell of it.
//!
//! A change that nobody could see changes nothing: the version stays, and no event goes out.

use super::command::{Command, Values};
use super::diff::Diff;
use super::event::{Event, Head, Outgoing};
use super::metadata::{Item, Metadata};
use super::patch::PatchLimits;
use super::refusal::Refusal;
use super::rules::{Matches, Rules, judge_id};
use super::state::{Names, State};

/// Carries commands out at one moment.
pub(super) struct Applier<'c> {
    pub(super) rules: &'c Rules,
    pub(super) matches: &'c Matches<'c>,
    pub(super) seed: u64,
    pub(super) replica_id: &'c str,
    pub(super) now_ms: i64,
    pub(super) max_event_bytes: usize,
}

/// One command on its way, and what it has told of so far.
pub(super) struct Step<'s, 'c> {
    applier: &'s Applier<'c>,
    correlation_id: &'s str,
    pub(super) events: Vec<Outgoing>,
    /// Units of work beyond what every command of its kind takes.
    spent: &'s mut u64,
}

impl<'c> Applier<'c> {
    /// Carries `command` out on `state`; None: nothing changed. `spent` grows by the work of a patch.
    ///
    /// # Errors
    /// All of it is refused.
    pub(super) fn apply<'a>(
        &self,
        state: &State<'a>,
        command: &'a Command,
        correlation_id: &str,
        spent: &mut u64,
    ) -> Result<(Option<State<'a>>, Vec<Outgoing>), Refusal> {
        let mut step = Step {
            applier: self,
            correlation_id,
            events: Vec::new(),
            spent,
        };
        let state = step.take(state, command)?;
        Ok((state, step.events))
    }
}

impl Step<'_, '_> {
    fn take<'a>(&mut self, state: &State<'a>, command: &'a Command) -> Result<Option<State<'a>>, Refusal> {
        match command {
            Command::Register {
                names,
                metadata,
                task,
            } => self.register(state, names.borrowed(), metadata, task.as_deref()),
            Command::Import { names, metadata } => self.import(state, names.borrowed(), metadata),
            Command::Unregister => self.unregister(state).map(Some),
            Command::ReplaceMetadata(wanted) => self.with_whole(state, wanted),
            Command::SetAppVersion {
                application,
                app_version,
            } => {
                let names = Names {
                    application: Some(application),
                    app_version: Some(app_version),
                    token: state.names.token,
                };
                self.with_names(state, names)
            }
            Command::PutKeys(values) => {
                let wanted = state.metadata.with(values.items(), self.applier.seed);
                self.with_metadata(state, &wanted, false)
            }
            Command::PatchMetadata(patch) => {
                let limits = PatchLimits::of(self.applier.rules, self.applier.seed);
                let patched = patch.apply(&state.metadata, &limits);
                *self.spent += patched.work;
                let wanted = patched
                    .made?
                    .into_iter()
                    .map(|(key, value)| Item::owned(key, value));
                self.with_metadata(state, &Metadata::new(wanted.collect()), false)
            }
            Command::DeleteKey(key) => {
                if state.metadata.get(key).is_none() {
                    return Err(Refusal::KeyUnknown(key.clone()));
                }
                self.with_metadata(state, &state.metadata.without(key), false)
            }
        }
    }

    fn register<'a>(
        &mut self,
        state: &State<'a>,
        names: Names<'a>,
        metadata: &'a Values,
        task: Option<&'a str>,
    ) -> Result<Option<State<'a>>, Refusal> {
        if !state.known() {
            return self.make(state, names, metadata, task).map(Some);
        }
        if task.is_some() && state.registration == task {
            return Ok(None);
        }
        Err(Refusal::Taken {
            field: "endpointId",
            reason: "an endpoint with this ID exists",
        })
    }

    /// An endpoint that was unknown; a tombstone's version goes on.
    fn make<'a>(
        &mut self,
        state: &State<'a>,
        names: Names<'a>,
        values: &'a Values,
        task: Option<&'a str>,
    ) -> Result<State<'a>, Refusal> {
        let rules = self.applier.rules;
        let metadata = values.metadata();
        let changed = values
            .items()
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_raw()));
        let size = rules.judge_metadata(&metadata, changed.clone(), self.applier.matches)?;
        rules.judge_touched(names.application, changed.map(|(key, _)| key))?;
        judge_id(state.id)?;
        rules.judge_names(&names, &Names::default())?;
        let now = Some(self.applier.now_ms);
        let made = State {
            exists: true,
            version: Some(state.next_version(self.applier.now_ms)),
            names,
            metadata,
            metadata_bytes: size,
            created_at: now,
            metadata_updated_at: now,
            app_version_registered_at: names.app_version.and(now),
            registration: task,
            new_metadata: true,
            wiped: state.wiped,
            repaired: true,
            ..State::absent(state.id)
        };
        self.tell(&Event::Registered, &made)?;
        Ok(made)
    }

    fn unregister<'a>(&mut self, state: &State<'a>) -> Result<State<'a>, Refusal> {
        let gone = State {
            exists: true,
            deleted: true,
            deleted_at: Some(self.applier.now_ms),
            version: Some(state.next_version(self.applier.now_ms)),
            wiped: true,
            repaired: true,
            ..State::absent(state.id)
        };
        self.tell_as(&Event::Unregistered, &gone, state.names.app_version)?;
        Ok(gone)
    }

    fn import<'a>(
        &mut self,
        state: &State<'a>,
        names: Names<'a>,
        metadata: &'a Values,
    ) -> Result<Option<State<'a>>, Refusal> {
        if !state.known() {
            return self.make(state, names, metadata, None).map(Some);
        }
        let named = self.with_names(state, names)?;
        let changed = self.with_whole(named.as_ref().unwrap_or(state), metadata)?;
        Ok(changed.or(named))
    }

    /// A token has no event of its own: one of no keys tells of it.
    fn with_names<'a>(&mut self, state: &State<'a>, names: Names<'a>) -> Result<Option<State<'a>>, Refusal> {
        let old = &state.names;
        if *old == names {
            return Ok(None);
        }
        self.applier.rules.judge_names(&names, old)?;
        let has_moved = (old.application, old.app_version) != (names.application, names.app_version);
        let mut moved = State {
            version: Some(state.next_version(self.applier.now_ms)),
            numbered: true,
            names,
            ..state.clone()
        };
        if has_moved {
            moved.app_version_registered_at = Some(self.applier.now_ms);
            let previous = old.app_version.unwrap_or_default();
            self.tell(&Event::AppVersionUpdated { previous }, &moved)?;
        } else {
            let event = Event::MetadataUpdated {
                diff: &Diff::none(),
                old: &state.metadata,
                new: &state.metadata,
                base: state.base(),
            };
            self.tell(&event, &moved)?;
        }
        Ok(Some(moved))
    }

    fn with_whole<'a>(
        &mut self,
        state: &State<'a>,
        wanted: &'a Values,
    ) -> Result<Option<State<'a>>, Refusal> {
        let repairs = !(state.readable && state.tidy);
        self.with_metadata(state, &wanted.metadata(), repairs)
    }

    /// `repairs`: gets could not be answered before, so it is a change whatever the metadata were.
    fn with_metadata<'a>(
        &mut self,
        state: &State<'a>,
        wanted: &Metadata<'a>,
        repairs: bool,
    ) -> Result<Option<State<'a>>, Refusal> {
        let (rules, old) = (self.applier.rules, &state.metadata);
        let diff = Diff::between(old, wanted, self.applier.seed)?;
        if diff.is_empty() && !repairs {
            return Ok(None);
        }
        rules.judge_touched(state.names.application, diff.touched(old, wanted))?;
        let metadata = diff.merged(old, wanted);
        let size = rules.judge_metadata(&metadata, diff.changed(wanted), self.applier.matches)?;
        let changed = State {
            version: Some(state.next_version(self.applier.now_ms)),
            numbered: true,
            readable: true,
            tidy: state.tidy || repairs,
            metadata,
            metadata_bytes: size,
            metadata_updated_at: Some(self.applier.now_ms),
            new_metadata: true,
            repaired: state.repaired || repairs,
            ..state.without_metadata()
        };
        let base = if diff.exact && !repairs {
            state.base()
        } else {
            None
        };
        let event = Event::MetadataUpdated {
            diff: &diff,
            old,
            new: wanted,
            base,
        };
        self.tell(&event, &changed)?;
        Ok(Some(changed))
    }

    fn tell(&mut self, event: &Event<'_, '_>, after: &State<'_>) -> Result<(), Refusal> {
        self.tell_as(event, after, after.names.app_version)
    }

    /// The event that tells how the endpoint came to `after`.
    fn tell_as(
        &mut self,
        event: &Event<'_, '_>,
        after: &State<'_>,
        app_version: Option<&str>,
    ) -> Result<(), Refusal> {
        let payload = event.encode(&Head {
            correlation_id: self.correlation_id,
            wall_ms: self.applier.now_ms,
            app_version: app_version.unwrap_or_default(),
            endpoint_id: after.id,
            replica_id: self.applier.replica_id,
        });
        let (size, most) = (payload.len(), self.applier.max_event_bytes);
        if size > most {
            let reason = format!("the change's event takes {size} bytes, NATS takes {most}");
            return Err(Refusal::too_large("metadata", reason));
        }
        self.events.push(Outgoing {
            kind: event.kind(),
            version: after.version.unwrap_or_default(),
            payload,
            base: event.base(),
        });
        Ok(())
    }
}
