//! What a bug costs: a 500 to the request that met it, a flush if it was an event, and nobody else anything.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Now;
use super::answer::{Envelope, Outcome, Sender};
use super::core::Core;
use super::failure::Failure;
use super::request::Request;
use crate::bugs::Bug;
use crate::epmmp::{AppVersionsRequest, GetRequest, KeysGetRequest};
use crate::frame::Message;
use crate::limits::MAX_BUGS;
use crate::park::{Asked, Landing, Waiter};

impl Core {
    /// Does something that makes at most one answer; None when it met a bug, and then it has made none.
    pub(super) fn caught<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let before = self.output.ready();
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            self.output.truncate(before);
        }
        done.ok()
    }

    /// Lands one endpoint. False when its document is unusable, or met a bug: then it is cached no more, and its
    /// gets that have no answer yet get a 500.
    pub(super) fn land(
        &mut self,
        id: &str,
        mut landing: Landing,
        now: Now,
        land: impl FnOnce(&mut Self, &mut Landing) -> bool,
    ) -> bool {
        let left = &mut landing;
        let done = catch_unwind(AssertUnwindSafe(|| {
            self.break_here(Bug::LandingsPanic);
            land(self, left)
        }));
        done.unwrap_or_else(|_| {
            self.cache.remove(id);
            self.unknown.remove(id);
            self.answer_all(landing.waiters, Outcome::Failed(Failure::BUG), now);
            false
        })
    }

    /// A get that waited met a bug when it was answered.
    pub(super) fn bug_of(&mut self, waiter: &Waiter) {
        let (reply, payload, now) = (waiter.reply(), waiter.payload(), self.latest);
        match waiter.asked {
            Asked::Metadata => self.bug::<GetRequest<'_>>(reply, payload, now),
            Asked::Keys => self.bug::<KeysGetRequest<'_>>(reply, payload, now),
            Asked::AppVersions => self.bug::<AppVersionsRequest<'_>>(reply, payload, now),
            Asked::Part { gather, .. } => {
                if let Some(gather) = self.gathers.close(gather) {
                    self.park.release(gather.bytes());
                    self.bug_of(&gather.waiter);
                }
            }
        }
    }

    /// Answers 500.
    pub(super) fn bug<'a, R: Request<'a>>(&mut self, reply: &'a [u8], payload: &'a [u8], now: Now) {
        let (correlation_id, form) = match R::decode(payload) {
            Ok(request) => (request.correlation_id(), request.form(&self.config)),
            Err(malformed) => (
                malformed.correlation_id,
                R::form_of_malformed(&malformed, &self.config),
            ),
        };
        self.note_bug(correlation_id);
        let envelope = Envelope {
            reply,
            traceparent: None,
            correlation_id,
            form,
            deadline_ms: None,
        };
        self.desk(now).sender.fail(&envelope, Failure::BUG);
    }

    /// For the log, which the shell writes.
    pub(super) fn note_bug(&mut self, correlation_id: &str) {
        if self.bugs.len() < MAX_BUGS {
            self.bugs.push(correlation_id.to_owned());
        }
    }

    /// Rule 1 broken, for tests: this message waits until all others of its read were handled.
    #[inline]
    pub(super) fn puts_off(&self, message: &Message<'_>) -> bool {
        self.broken.has(Bug::EventsWaitForGets) && !message.kind.is_request()
    }

    /// Rule 12 broken, for tests: what an event was applied to begins to age anew.
    #[inline]
    pub(super) fn break_age(&mut self, id: &str, now: Now) {
        if self.broken.has(Bug::AppliedLiveAnew) {
            let epoch = self.coherence.epoch();
            let entry = self.cache.peek(id, epoch).cloned();
            entry.map(|entry| self.cache.insert(entry, epoch, now.mono_ms));
        }
    }

    /// A bug, for tests.
    #[inline]
    #[allow(clippy::panic)]
    pub(super) fn break_here(&self, bug: Bug) {
        if self.broken.has(bug) {
            panic!("a switch of the tests is on");
        }
    }
}

/// A bug in the middle of an answer, for tests: half a frame is written.
#[cold]
#[allow(clippy::panic)]
pub(super) fn broken_get(sender: &mut Sender<'_>) {
    let len = crate::frame::PublishLen::new(None, 0);
    sender
        .output
        .frame(len, None, 0, |out| out.extend_from_slice(b"PUB half"));
    panic!("a switch of the tests is on");
}
