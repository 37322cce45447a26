//! Flow 1 from "project" on, for hits and for landed gets alike.

use crate::entry::Entry;
use crate::epmmp::{AppVersionsResponse, GetResponse, Group, Keys, KeysGetResponse, Revision, Strings};
use crate::frame::{Kind, PublishLen, publish};
use crate::output::Output;
use crate::project::Projection;
use crate::stats::Stats;

use super::core::Link;
use super::failure::Failure;
use super::request::Get;
use super::{Config, Now};

/// What a get is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    Found(&'a Entry),
    Failed(Failure),
}

/// The message that an answer is, and what it repeats of its request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    Metadata {
        endpoint_id: &'a str,
        revision: Revision,
    },
    Keys {
        endpoint_id: &'a str,
    },
    AppVersions {
        endpoint_ids: Strings<'a>,
    },
}

impl Form<'_> {
    /// The same message, repeating nothing.
    fn bare(self) -> Self {
        match self {
            Self::Metadata { revision, .. } => Self::Metadata {
                endpoint_id: "",
                revision,
            },
            Self::Keys { .. } => Self::Keys { endpoint_id: "" },
            Self::AppVersions { .. } => Self::AppVersions {
                endpoint_ids: Strings::default(),
            },
        }
    }
}

/// Where an answer goes and what it repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub reply: &'a [u8],
    pub traceparent: Option<&'a [u8]>,
    pub correlation_id: &'a str,
    pub form: Form<'a>,
    pub deadline_ms: Option<i64>,
}

/// An answer that can be put into a frame.
pub(super) trait Answer {
    /// What it answers.
    const ASKED: Kind;
    fn status(&self) -> i32;
    fn encoded_len(&self) -> usize;
    fn encode(&self, out: &mut Vec<u8>);
}

/// An answer to a metadata get, in one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct InRevision<'a>(pub Revision, pub GetResponse<'a>);

impl Answer for InRevision<'_> {
    const ASKED: Kind = Kind::Get;

    fn status(&self) -> i32 {
        self.1.status
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        self.1.encoded_len(self.0)
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.1.encode(self.0, out);
    }
}

impl Answer for KeysGetResponse<'_> {
    const ASKED: Kind = Kind::KeysGet;

    fn status(&self) -> i32 {
        self.status
    }

    fn encoded_len(&self) -> usize {
        self.encoded_len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

impl Answer for AppVersionsResponse<'_> {
    const ASKED: Kind = Kind::AppVersions;

    fn status(&self) -> i32 {
        self.status
    }

    fn encoded_len(&self) -> usize {
        self.encoded_len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

/// Makes answers.
#[derive(Debug)]
pub(super) struct Desk<'d> {
    pub sender: Sender<'d>,
    pub projection: &'d mut Projection,
    pub config: &'d Config,
}

/// Where answers go.
#[derive(Debug)]
pub(super) struct Sender<'d> {
    pub output: &'d mut Output,
    pub stats: &'d mut Stats,
    pub link: Link,
    pub now: Now,
}

impl Desk<'_> {
    /// Answers a request about one endpoint from its entry.
    #[inline]
    pub(super) fn found<'a, G: Get<'a>>(&mut self, envelope: &Envelope<'_>, request: &G, entry: &Entry) {
        if let Err(failure) = request.found(self, envelope, entry) {
            self.sender.fail(envelope, failure);
        }
    }

    /// Answers a request about one endpoint.
    pub(super) fn answer<'a, G: Get<'a>>(
        &mut self,
        envelope: &Envelope<'_>,
        request: &G,
        outcome: Outcome<'_>,
    ) {
        match outcome {
            Outcome::Failed(failure) => self.sender.fail(envelope, failure),
            Outcome::Found(entry) => self.found(envelope, request, entry),
        }
    }
}

impl Sender<'_> {
    /// Answers with application versions, or 413.
    pub(super) fn app_versions(
        &mut self,
        envelope: &Envelope<'_>,
        endpoint_ids: Strings<'_>,
        groups: &[Group<'_>],
    ) {
        let response = AppVersionsResponse {
            correlation_id: envelope.correlation_id,
            timestamp: self.now.wall_ms,
            endpoint_ids,
            groups,
            status: 200,
            reason: None,
        };
        if !self.send(envelope, &response) {
            self.fail(envelope, Failure::ANSWER_TOO_LARGE);
        }
    }

    /// Answers with a failure; one that is itself too large for the server has an empty echo.
    pub(super) fn fail(&mut self, envelope: &Envelope<'_>, failure: Failure) {
        if !self.send_failure(envelope, failure) {
            let bare = Envelope {
                traceparent: None,
                correlation_id: "",
                form: envelope.form.bare(),
                ..*envelope
            };
            self.send_failure(&bare, failure);
        }
    }

    fn send_failure(&mut self, envelope: &Envelope<'_>, failure: Failure) -> bool {
        let correlation_id = envelope.correlation_id;
        let (timestamp, status, reason) = (self.now.wall_ms, failure.status, Some(failure.reason));
        match envelope.form {
            Form::Metadata {
                endpoint_id,
                revision,
            } => {
                let response = GetResponse {
                    correlation_id,
                    timestamp,
                    endpoint_id,
                    etag: None,
                    payload: None,
                    status,
                    reason,
                    app_version: None,
                };
                self.send(envelope, &InRevision(revision, response))
            }
            Form::Keys { endpoint_id } => {
                let response = KeysGetResponse {
                    correlation_id,
                    timestamp,
                    endpoint_id,
                    keys: Keys::default(),
                    status,
                    reason,
                };
                self.send(envelope, &response)
            }
            Form::AppVersions { endpoint_ids } => {
                let response = AppVersionsResponse {
                    correlation_id,
                    timestamp,
                    endpoint_ids,
                    groups: &[],
                    status,
                    reason,
                };
                self.send(envelope, &response)
            }
        }
    }

    /// Makes the frame unless it is larger than the server takes.
    #[inline]
    pub(super) fn send<A: Answer>(&mut self, envelope: &Envelope<'_>, answer: &A) -> bool {
        let traceparent = envelope.traceparent.filter(|_| self.link.headers);
        let len = PublishLen::new(traceparent, answer.encoded_len());
        if len.total() > self.link.max_payload {
            return false;
        }
        self.output
            .frame(len, envelope.deadline_ms, self.now.mono_ms, |out| {
                publish(out, envelope.reply, traceparent, len, |out| answer.encode(out));
            });
        self.stats.count.held_dropped += self.output.take_dropped();
        self.stats.answered(A::ASKED, answer.status());
        true
    }
}
