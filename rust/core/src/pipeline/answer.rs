//! Flow 1 from "project" on, for hits and for landed gets alike.

use crate::entry::Entry;
use crate::epmmp::get_request::{GetRequest, Malformed, Shape};
use crate::epmmp::get_response::{GetResponse, Revision};
use crate::error::Cause;
use crate::frame::{PublishLen, publish};
use crate::output::Output;
use crate::project::{Projection, project};
use crate::stats::Stats;

use super::Now;
use super::core::Link;

/// What a get is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    Found(&'a Entry),
    Failed(Failure),
}

/// A status other than 200 and its reasonPhrase (ARCHITECTURE.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    status: i32,
    reason: &'static str,
}

impl Failure {
    pub(super) const NOT_FOUND: Self = Self {
        status: 404,
        reason: "Endpoint not found",
    };
    pub(super) const TOO_LARGE: Self = Self {
        status: 413,
        reason: "Metadata exceeds the maximum NATS payload",
    };
    pub(super) const UNUSABLE: Self = Self {
        status: 500,
        reason: "Stored endpoint is unusable",
    };
    pub(super) const BUG: Self = Self {
        status: 500,
        reason: "Internal server error",
    };
    pub(super) const STORE: Self = Self {
        status: 503,
        reason: "Endpoint store is unavailable",
    };
    /// A request that did not decode.
    pub(super) fn malformed(cause: Cause) -> Self {
        Self {
            status: 400,
            reason: cause.reason(),
        }
    }

    pub(super) const BUSY: Self = Self {
        status: 503,
        reason: "Too many requests are waiting",
    };
}

/// Where an answer goes and what it repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub reply: &'a [u8],
    pub traceparent: Option<&'a [u8]>,
    pub correlation_id: &'a str,
    pub endpoint_id: &'a str,
    pub revision: Revision,
    pub deadline_ms: Option<i64>,
}

impl<'a> Envelope<'a> {
    pub(super) fn of(
        request: &GetRequest<'a>,
        reply: &'a [u8],
        traceparent: Option<&'a [u8]>,
        plain: Revision,
    ) -> Self {
        Self {
            reply,
            traceparent,
            correlation_id: request.correlation_id,
            endpoint_id: request.endpoint_id,
            revision: match request.shape {
                Shape::Plain => plain,
                Shape::WithFlag { .. } => Revision::Three,
            },
            deadline_ms: request.deadline(),
        }
    }

    /// For a request that did not decode.
    pub(super) fn of_malformed(
        malformed: &Malformed<'a>,
        reply: &'a [u8],
        traceparent: Option<&'a [u8]>,
        revision: Revision,
    ) -> Self {
        Self {
            reply,
            traceparent,
            correlation_id: malformed.correlation_id,
            endpoint_id: malformed.endpoint_id,
            revision,
            deadline_ms: None,
        }
    }
}

/// Makes answers.
#[derive(Debug)]
pub(super) struct Desk<'d> {
    pub sender: Sender<'d>,
    pub projection: &'d mut Projection,
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
    /// Answers a request that decoded.
    pub(super) fn answer(&mut self, envelope: &Envelope<'_>, request: &GetRequest<'_>, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Failed(failure) => self.sender.fail(envelope, failure),
            Outcome::Found(entry) => self.found(envelope, request, entry),
        }
    }

    fn found(&mut self, envelope: &Envelope<'_>, request: &GetRequest<'_>, entry: &Entry) {
        let wanted = !matches!(
            request.shape,
            Shape::WithFlag {
                include_metadata: false
            }
        );
        let response = GetResponse {
            correlation_id: envelope.correlation_id,
            timestamp: self.sender.now.wall_ms,
            endpoint_id: envelope.endpoint_id,
            etag: entry.etag(),
            payload: wanted.then(|| project(entry, &request.include, self.projection)),
            status: 200,
            reason: None,
            app_version: entry.app_version(),
        };
        if !self.sender.send(envelope, &response) {
            self.sender.fail(envelope, Failure::TOO_LARGE);
        }
    }
}

impl Sender<'_> {
    /// Answers with a failure; one that is itself too large for the server has an empty echo.
    pub(super) fn fail(&mut self, envelope: &Envelope<'_>, failure: Failure) {
        let response = GetResponse {
            correlation_id: envelope.correlation_id,
            timestamp: self.now.wall_ms,
            endpoint_id: envelope.endpoint_id,
            etag: None,
            payload: None,
            status: failure.status,
            reason: Some(failure.reason),
            app_version: None,
        };
        if !self.send(envelope, &response) {
            let bare = Envelope {
                traceparent: None,
                ..*envelope
            };
            self.send(
                &bare,
                &GetResponse {
                    correlation_id: "",
                    endpoint_id: "",
                    ..response
                },
            );
        }
    }

    /// Makes the frame unless it is larger than the server takes.
    fn send(&mut self, envelope: &Envelope<'_>, response: &GetResponse<'_>) -> bool {
        let traceparent = envelope.traceparent.filter(|_| self.link.headers);
        let len = PublishLen::new(traceparent, response.encoded_len(envelope.revision));
        if len.total() > self.link.max_payload {
            return false;
        }
        self.output
            .frame(len, envelope.deadline_ms, self.now.mono_ms, |out| {
                publish(out, envelope.reply, traceparent, len, |out| {
                    response.encode(envelope.revision, out)
                });
            });
        self.stats.count.held_dropped += self.output.take_dropped();
        self.stats.answered(response.status);
        true
    }
}
