//! One request that waits.

/// What a get asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Metadata.
    Metadata,
    /// Metadata keys.
    Keys,
    /// Application versions of several endpoints; the whole request, which waits in a [`crate::gather::Gather`].
    AppVersions,
    /// One endpoint's part of such a request.
    Part {
        /// The gather's number.
        gather: u64,
        /// The endpoint's place in it.
        place: u32,
    },
}

/// A get that waits: what is needed to answer it, copied out of the read chunk.
#[derive(Clone, Debug)]
pub struct Waiter {
    bytes: Box<[u8]>,
    reply: u32,
    traceparent: u32,
    /// What it asks for.
    pub asked: Asked,
    /// When it arrived, monotonic milliseconds.
    pub arrived_ms: u64,
}

impl Waiter {
    /// Copies the parts of a request that its answer needs.
    pub fn new(
        asked: Asked,
        reply: &[u8],
        traceparent: Option<&[u8]>,
        payload: &[u8],
        arrived_ms: u64,
    ) -> Self {
        let traceparent = traceparent.unwrap_or_default();
        Self {
            bytes: [reply, traceparent, payload].concat().into(),
            // Both are parts of one control line or header block (`limits.rs`).
            reply: reply.len() as u32,
            traceparent: traceparent.len() as u32,
            asked,
            arrived_ms,
        }
    }

    /// A part of a request that waits elsewhere.
    pub fn part(gather: u64, place: u32, arrived_ms: u64) -> Self {
        Self {
            bytes: Box::default(),
            reply: 0,
            traceparent: 0,
            asked: Asked::Part { gather, place },
            arrived_ms,
        }
    }

    fn split(&self) -> (&[u8], &[u8], &[u8]) {
        let (reply, rest) = self.bytes.split_at(self.reply as usize);
        let (traceparent, payload) = rest.split_at(self.traceparent as usize);
        (reply, traceparent, payload)
    }

    /// The reply subject.
    pub fn reply(&self) -> &[u8] {
        self.split().0
    }

    /// The value of the request's `traceparent` header.
    pub fn traceparent(&self) -> Option<&[u8]> {
        let value = self.split().1;
        (!value.is_empty()).then_some(value)
    }

    /// The request's payload, which decoded when it arrived.
    pub fn payload(&self) -> &[u8] {
        self.split().2
    }

    /// Bytes that count against the bound of what may wait.
    pub fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}
