//! NATS client protocol frames: those of our subscriptions are read, all other bytes are passed on untouched.

mod headers;
mod reply;
mod scan;
mod write;

pub use headers::{HeaderName, header, headers_block_len};
pub use reply::may_answer_to;
pub use scan::{Message, Routes, Scanner, Step};
pub use write::{PublishLen, publish};

/// What a subscription carries. The numbers are those of `Kind` in `kaa_epr/engine/api.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// 19/EPMMP endpoint metadata get request.
    Get = 0,
    /// 15/EME metadata updated.
    MetadataUpdated = 1,
    /// 9/ELCE endpoint registered.
    Registered = 2,
    /// 9/ELCE endpoint unregistered.
    Unregistered = 3,
    /// 9/ELCE application version updated.
    AppVersionUpdated = 4,
    /// A writer's heartbeat (`schemas/coherence/`).
    Heartbeat = 5,
    /// 19/EPMMP endpoint metadata keys get request.
    KeysGet = 6,
    /// 19/EPMMP request for the application versions of endpoints.
    AppVersions = 7,
}

impl Kind {
    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Get,
            Self::MetadataUpdated,
            Self::Registered,
            Self::Unregistered,
            Self::AppVersionUpdated,
            Self::Heartbeat,
            Self::KeysGet,
            Self::AppVersions,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }

    /// Whether it is to be answered; the others are to be heard.
    pub fn is_request(self) -> bool {
        matches!(self, Self::Get | Self::KeysGet | Self::AppVersions)
    }
}
