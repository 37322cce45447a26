//! The requests that are answered from entries, and what the flows ask of each kind.

use crate::entry::Entry;
use crate::epmmp::{
    AppVersionsRequest, GetRequest, GetResponse, KeysGetRequest, KeysGetResponse, Malformed, Revision, Shape,
    app_versions_request, get_request, keys_get_request,
};
use crate::frame::{HeaderName, Kind, Message, header};
use crate::park::{Asked, Waiter};
use crate::project::{keys, project};

use super::answer::{Desk, Envelope, Form, InRevision};
use super::core::Core;
use super::failure::Failure;
use super::{Config, Now};

/// A request that decoded; borrows from its payload.
pub(super) trait Request<'a>: Sized {
    const KIND: Kind;
    /// As it is parked.
    const ASKED: Asked;

    fn decode(payload: &'a [u8]) -> Result<Self, Malformed<'a>>;

    /// The form of the answer to a request that did not decode.
    fn form_of_malformed(malformed: &Malformed<'a>, config: &Config) -> Form<'a>;

    fn form(&self, config: &Config) -> Form<'a>;

    fn correlation_id(&self) -> &'a str;

    /// The last millisecond (Unix) at which it is in time.
    fn deadline(&self) -> Option<i64>;

    /// Answers or parks it, behind decoding and expiry.
    fn serve(&self, core: &mut Core, message: &Message<'a>, fresh: bool, now: Now);

    #[inline]
    fn expired(&self, wall_ms: i64) -> bool {
        self.deadline().is_some_and(|deadline| deadline < wall_ms)
    }

    #[inline]
    fn envelope(&self, reply: &'a [u8], traceparent: Option<&'a [u8]>, config: &Config) -> Envelope<'a> {
        Envelope {
            reply,
            traceparent,
            correlation_id: self.correlation_id(),
            form: self.form(config),
            deadline_ms: self.deadline(),
        }
    }
}

/// A request about one endpoint.
pub(super) trait Get<'a>: Request<'a> {
    fn endpoint_id(&self) -> &'a str;

    /// Answers 200; the failure when the answer is larger than the server takes.
    fn found(&self, desk: &mut Desk<'_>, envelope: &Envelope<'_>, entry: &Entry) -> Result<(), Failure>;
}

impl<'a> Request<'a> for GetRequest<'a> {
    const KIND: Kind = Kind::Get;
    const ASKED: Asked = Asked::Metadata;

    #[inline]
    fn decode(payload: &'a [u8]) -> Result<Self, Malformed<'a>> {
        get_request::decode(payload)
    }

    fn form_of_malformed(malformed: &Malformed<'a>, config: &Config) -> Form<'a> {
        Form::Metadata {
            endpoint_id: malformed.endpoint_id,
            revision: match malformed.shape {
                Some(shape) => revision(shape, config),
                None => config.default_revision,
            },
        }
    }

    #[inline]
    fn form(&self, config: &Config) -> Form<'a> {
        Form::Metadata {
            endpoint_id: self.endpoint_id,
            revision: revision(self.shape, config),
        }
    }

    #[inline]
    fn correlation_id(&self) -> &'a str {
        self.correlation_id
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        self.deadline()
    }

    #[inline]
    fn serve(&self, core: &mut Core, message: &Message<'a>, fresh: bool, now: Now) {
        core.get(self, message, fresh, now);
    }
}

impl<'a> Get<'a> for GetRequest<'a> {
    #[inline]
    fn endpoint_id(&self) -> &'a str {
        self.endpoint_id
    }

    #[inline]
    fn found(&self, desk: &mut Desk<'_>, envelope: &Envelope<'_>, entry: &Entry) -> Result<(), Failure> {
        let wanted = !matches!(
            self.shape,
            Shape::WithFlag {
                include_metadata: false
            }
        );
        let response = GetResponse {
            correlation_id: self.correlation_id,
            timestamp: desk.sender.now.wall_ms,
            endpoint_id: self.endpoint_id,
            etag: entry.etag(),
            payload: wanted.then(|| project(entry, &self.include, desk.projection)),
            status: 200,
            reason: None,
            app_version: entry.app_version(),
        };
        let answer = InRevision(revision(self.shape, desk.config), response);
        let sent = desk.sender.send(envelope, &answer);
        sent.then_some(()).ok_or(Failure::TOO_LARGE)
    }
}

impl<'a> Request<'a> for KeysGetRequest<'a> {
    const KIND: Kind = Kind::KeysGet;
    const ASKED: Asked = Asked::Keys;

    fn decode(payload: &'a [u8]) -> Result<Self, Malformed<'a>> {
        keys_get_request::decode(payload)
    }

    fn form_of_malformed(malformed: &Malformed<'a>, _config: &Config) -> Form<'a> {
        Form::Keys {
            endpoint_id: malformed.endpoint_id,
        }
    }

    fn form(&self, _config: &Config) -> Form<'a> {
        Form::Keys {
            endpoint_id: self.endpoint_id,
        }
    }

    fn correlation_id(&self) -> &'a str {
        self.correlation_id
    }

    fn deadline(&self) -> Option<i64> {
        self.deadline()
    }

    fn serve(&self, core: &mut Core, message: &Message<'a>, fresh: bool, now: Now) {
        core.get(self, message, fresh, now);
    }
}

impl<'a> Get<'a> for KeysGetRequest<'a> {
    fn endpoint_id(&self) -> &'a str {
        self.endpoint_id
    }

    fn found(&self, desk: &mut Desk<'_>, envelope: &Envelope<'_>, entry: &Entry) -> Result<(), Failure> {
        let response = KeysGetResponse {
            correlation_id: self.correlation_id,
            timestamp: desk.sender.now.wall_ms,
            endpoint_id: self.endpoint_id,
            keys: keys(entry, desk.projection),
            status: 200,
            reason: None,
        };
        let sent = desk.sender.send(envelope, &response);
        sent.then_some(()).ok_or(Failure::ANSWER_TOO_LARGE)
    }
}

impl<'a> Request<'a> for AppVersionsRequest<'a> {
    const KIND: Kind = Kind::AppVersions;
    const ASKED: Asked = Asked::AppVersions;

    fn decode(payload: &'a [u8]) -> Result<Self, Malformed<'a>> {
        app_versions_request::decode(payload)
    }

    fn form_of_malformed(_malformed: &Malformed<'a>, _config: &Config) -> Form<'a> {
        Form::AppVersions {
            endpoint_ids: Default::default(),
        }
    }

    fn form(&self, _config: &Config) -> Form<'a> {
        Form::AppVersions {
            endpoint_ids: self.endpoint_ids,
        }
    }

    fn correlation_id(&self) -> &'a str {
        self.correlation_id
    }

    fn deadline(&self) -> Option<i64> {
        self.deadline()
    }

    fn serve(&self, core: &mut Core, message: &Message<'a>, fresh: bool, now: Now) {
        core.app_versions(self, message, fresh, now);
    }
}

/// The revision that a get is, and its answer with it.
#[inline]
fn revision(shape: Shape, config: &Config) -> Revision {
    match shape {
        Shape::Plain => config.plain_revision,
        Shape::WithFlag { .. } => Revision::Three,
    }
}

/// A copy of a request that has to wait.
pub(super) fn waiter(asked: Asked, message: &Message<'_>, now: Now) -> Waiter {
    let trace = traceparent(message);
    Waiter::new(asked, message.reply, trace, message.payload, now.mono_ms)
}

/// The value of the request's `traceparent` header.
#[inline]
pub(super) fn traceparent<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    if message.headers.is_empty() {
        None
    } else {
        header(message.headers, HeaderName::TRACEPARENT)
    }
}
