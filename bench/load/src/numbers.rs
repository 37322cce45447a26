//! The headers of a register's events and heartbeats (`schemas/coherence/`).

use std::time::{Duration, Instant};

use crate::wire::put_decimal;

/// `schemas/coherence/`: a writer is heard at least so often.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Where heartbeats go.
pub const HEARTBEAT_SUBJECT: &str = "kaa.v1.coherence.bench.heartbeat";

/// The numbers of one writer's events.
pub struct Numbers {
    /// Every header block up to the number.
    head: Vec<u8>,
    seq: u64,
    heartbeat: Instant,
}

impl Numbers {
    /// `id`: of this writer, unique. A heartbeat is due at once.
    pub fn new(id: &str) -> Self {
        Self {
            head: format!("NATS/1.0\r\nKaa-Epr-Writer: {id}\r\nKaa-Epr-Seq: ").into_bytes(),
            seq: 0,
            heartbeat: Instant::now(),
        }
    }

    /// Appends the headers of the next event, of the change from the version before to this one.
    pub fn put_headers(&mut self, out: &mut Vec<u8>, version: i64) {
        self.seq += 1;
        out.extend_from_slice(&self.head);
        put_decimal(out, self.seq);
        for (name, value) in [("Version", version), ("Base", version - 1)] {
            out.extend_from_slice(b"\r\nKaa-Epr-");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            put_decimal(out, value.unsigned_abs());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// The headers of a heartbeat, when one is due.
    pub fn heartbeat(&mut self, now: Instant) -> Option<Vec<u8>> {
        (now >= self.heartbeat).then(|| {
            self.heartbeat = now + HEARTBEAT;
            let mut out = self.head.clone();
            put_decimal(&mut out, self.seq);
            out.extend_from_slice(b"\r\n\r\n");
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_and_heartbeats_repeat_the_last_number() {
        let mut numbers = Numbers::new("w");
        let now = Instant::now();
        assert_eq!(
            numbers.heartbeat(now).as_deref(),
            Some(&b"NATS/1.0\r\nKaa-Epr-Writer: w\r\nKaa-Epr-Seq: 0\r\n\r\n"[..])
        );
        for (version, seq) in [(7, 1), (12, 2)] {
            let mut out = Vec::new();
            numbers.put_headers(&mut out, version);
            let base = version - 1;
            let expected = format!(
                "NATS/1.0\r\nKaa-Epr-Writer: w\r\nKaa-Epr-Seq: {seq}\r\nKaa-Epr-Version: {version}\r\nKaa-Epr-Base: {base}\r\n\r\n"
            );
            assert_eq!(out, expected.into_bytes());
        }
        assert_eq!(numbers.heartbeat(now), None);
        let beat = numbers.heartbeat(now + HEARTBEAT);
        assert!(beat.is_some_and(|beat| beat.ends_with(b"Seq: 2\r\n\r\n")));
    }
}
