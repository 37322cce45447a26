//! 15/EME events while gets run, from a connection of their own: a storm at a fixed rate, or of the writes that a
//! program reports; and at a chosen moment one event that no one can decode, upon which a responder has to drop
//! its whole cache.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::args::{EventsOn, RunArgs};
use crate::dataset;
use crate::figures::Plan;
use crate::nats::Connection;
use crate::targets::Targets;
use crate::wire::put_event;
use crate::writer::{HEARTBEAT_SUBJECT, Writer};

/// Events leave in batches this far apart.
const TICK: Duration = Duration::from_micros(500);
/// Unsent bytes beyond which no further events are made: the rate is then what the server takes.
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// Endpoints the events are about when nobody reads them.
const OTHERS: u64 = 100_000;
const SUBJECT: &str = "kaa.v1.events.bench.endpoint.metadata.updated";

/// Publishes a run's events.
pub struct Events<'a> {
    args: &'a RunArgs,
    targets: &'a Targets,
    connection: Connection,
    others: Vec<String>,
    payload: Vec<u8>,
    number: u64,
    /// Until the run is over: what it used is taken at the end of the measured time.
    writer: Option<Writer>,
}

impl<'a> Events<'a> {
    /// Connects, if the run has events at all.
    pub fn new(args: &'a RunArgs, targets: &'a Targets) -> Result<Option<Self>> {
        if args.events_per_second == 0.0 && args.flush_at.is_none() && args.writer.is_empty() {
            return Ok(None);
        }
        let seed = args.dataset.seed ^ 0x6576_656e_7473;
        let count = if args.events_on == EventsOn::Other {
            OTHERS
        } else {
            0
        };
        let others = (0..count).map(|index| dataset::id(seed, index)).collect();
        let connection = Connection::open(&args.nats, &[])?;
        Ok(Some(Self {
            args,
            targets,
            connection,
            others,
            payload: Vec::new(),
            number: 0,
            writer: None,
        }))
    }

    /// Starts the program that writes, if the run has one, and waits until it writes.
    pub fn prepare(&mut self) -> Result<()> {
        if !self.args.writer.is_empty() {
            let id = format!("load-{}-{}", std::process::id(), wall()?.as_millis());
            self.writer = Some(Writer::start(&self.args.writer, id)?);
        }
        Ok(())
    }

    /// Publishes until the plan ends; returns how many events left in the measured time.
    pub fn run(&mut self, plan: &Plan) -> Result<u64> {
        let begin = Instant::now();
        let mut before = None;
        let mut flush = self.args.flush_at.map(|after| plan.start + after);
        loop {
            let now = Instant::now();
            if now >= plan.end {
                return Ok(self.number - before.unwrap_or(self.number));
            }
            if now >= plan.start && before.is_none() {
                before = Some(self.number);
            }
            if flush.take_if(|moment| *moment <= now).is_some() {
                self.publish(SUBJECT, "", b"\xff");
            }
            match self.writer.take() {
                Some(writer) => self.writer = Some(self.tell_writes(writer, now)?),
                None => self.tell_as_due(now - begin)?,
            }
            self.connection.exchange(TICK)?;
            while self.connection.next()?.is_some() {}
        }
    }

    /// Events at the fixed rate.
    fn tell_as_due(&mut self, since: Duration) -> Result<()> {
        let due = (since.as_secs_f64() * self.args.events_per_second) as u64;
        while self.number < due && self.connection.backlog() < MAX_BACKLOG {
            let known = u64::from(self.targets.known());
            let id = match self.others.len() as u64 {
                0 => self.targets.id((self.number % known) as u32).to_vec(),
                count => self.others[(self.number % count) as usize].as_bytes().to_vec(),
            };
            self.put_event("", &id)?;
        }
        Ok(())
    }

    /// Events of the writes reported by now, and heartbeats.
    fn tell_writes(&mut self, mut writer: Writer, now: Instant) -> Result<Writer> {
        if let Some(headers) = writer.heartbeat(now) {
            self.publish(HEARTBEAT_SUBJECT, &headers, b"");
        }
        while self.connection.backlog() < MAX_BACKLOG {
            let Some(write) = writer.next()? else { break };
            let headers = writer.headers(write.version);
            self.put_event(&headers, write.endpoint.as_bytes())?;
        }
        Ok(writer)
    }

    fn put_event(&mut self, headers: &str, id: &[u8]) -> Result<()> {
        let correlation = format!(
            "{:08x}-0000-4000-8000-{:012x}",
            self.args.dataset.seed as u32, self.number
        );
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        put_event(
            &mut payload,
            correlation.as_bytes(),
            wall()?.as_millis() as i64,
            id,
        );
        self.publish(SUBJECT, headers, &payload);
        self.payload = payload;
        self.number += 1;
        Ok(())
    }

    fn publish(&mut self, subject: &str, headers: &str, payload: &[u8]) {
        let out = self.connection.output();
        let (head, whole) = (headers.len(), headers.len() + payload.len());
        let line = match head {
            0 => format!("PUB {subject} {whole}\r\n"),
            _ => format!("HPUB {subject} {head} {whole}\r\n"),
        };
        for part in [line.as_bytes(), headers.as_bytes(), payload, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

fn wall() -> Result<Duration> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("a clock before 1970")
}
