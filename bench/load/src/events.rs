//! 15/EME events while gets run, from a connection of their own: a storm at a fixed rate, a stock service's or a
//! register's, or of the writes that a program reports; and at a chosen moment one event that no one can decode, upon which a responder has to drop
//! its whole cache.

use std::mem::take;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::args::{EventsOn, RunArgs};
use crate::book::put_hex;
use crate::changes::{self, Changes, FIELD};
use crate::dataset;
use crate::figures::Plan;
use crate::nats::Connection;
use crate::numbers::{HEARTBEAT_SUBJECT, Numbers};
use crate::targets::Targets;
use crate::wire::{Updated, put_decimal, put_event};
use crate::writer::Writer;

/// Events leave in batches this far apart.
const TICK: Duration = Duration::from_micros(500);
/// Unsent bytes beyond which no further events are made: the rate is then what the server takes.
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// Endpoints the events are about when nobody reads them.
const OTHERS: u64 = 100_000;
const SUBJECT: &str = "kaa.v1.events.bench.endpoint.metadata.updated";

/// A correlation id is this with the event's number at its end.
const CORRELATION: &str = "00000000-0000-4000-8000-000000000000";
/// What a stock service's events say; nobody reads it.
const STOCK: Updated = Updated {
    key: FIELD,
    new: b"\"new\"",
    old: b"\"old\"",
};

/// Publishes a run's events.
pub struct Events<'a> {
    args: &'a RunArgs,
    targets: &'a Targets,
    others: Vec<String>,
    out: Out,
    /// Those of a register's events; none: a stock service's.
    numbers: Option<Numbers>,
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
        let writer = format!("load-{}-{}", std::process::id(), wall()?.as_millis());
        Ok(Some(Self {
            args,
            targets,
            others,
            out: Out::new(Connection::open(&args.nats, &[])?),
            numbers: targets.changes().map(|_| Numbers::new(&writer)),
            writer: None,
        }))
    }

    /// Starts the program that writes, if the run has one, and waits until it writes.
    pub fn prepare(&mut self) -> Result<()> {
        if !self.args.writer.is_empty() {
            self.writer = Some(Writer::start(&self.args.writer)?);
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
                return Ok(self.out.number - before.unwrap_or(self.out.number));
            }
            if now >= plan.start && before.is_none() {
                before = Some(self.out.number);
            }
            if flush.take_if(|moment| *moment <= now).is_some() {
                self.out.publish(SUBJECT, b"", b"\xff");
            }
            if let Some(headers) = self.numbers.as_mut().and_then(|numbers| numbers.heartbeat(now)) {
                self.out.publish(HEARTBEAT_SUBJECT, &headers, b"");
            }
            self.tell(now - begin)?;
            self.out.connection.exchange(TICK)?;
            while self.out.connection.next()?.is_some() {}
        }
    }

    /// Events of the writes reported by now, or those due at the fixed rate.
    fn tell(&mut self, since: Duration) -> Result<()> {
        let targets = self.targets;
        match (&mut self.writer, &mut self.numbers, targets.changes()) {
            (Some(writer), Some(numbers), _) => tell_writes(&mut self.out, writer, numbers),
            (None, Some(numbers), Some(changes)) => {
                let due = (since.as_secs_f64() * self.args.events_per_second) as u64;
                tell_changes(&mut self.out, due, numbers, (targets, changes))
            }
            _ => self.tell_stock(since),
        }
    }

    /// A stock service's events.
    fn tell_stock(&mut self, since: Duration) -> Result<()> {
        let due = (since.as_secs_f64() * self.args.events_per_second) as u64;
        while self.out.number < due && self.out.has_room() {
            let number = self.out.number;
            let id = match self.others.len() as u64 {
                0 => self.targets.id((number % u64::from(self.targets.known())) as u32),
                count => self.others[(number % count) as usize].as_bytes(),
            };
            self.out.put_event(None, id, &STOCK)?;
        }
        Ok(())
    }
}

/// A register's events of the writes reported by now.
fn tell_writes(out: &mut Out, writer: &mut Writer, numbers: &mut Numbers) -> Result<()> {
    while out.has_room() {
        let Some(write) = writer.next()? else { break };
        let updated = Updated {
            key: FIELD,
            new: write.new.as_bytes(),
            old: write.old.as_bytes(),
        };
        out.put_event(
            Some((numbers, write.version)),
            write.endpoint.as_bytes(),
            &updated,
        )?;
    }
    Ok(())
}

/// A register's events until `due` have left, endpoint after endpoint.
fn tell_changes(
    out: &mut Out,
    due: u64,
    numbers: &mut Numbers,
    (targets, changes): (&Targets, &Changes),
) -> Result<()> {
    while out.number < due && out.has_room() {
        let target = (out.number % u64::from(targets.known())) as u32;
        let (version, stored) = changes.next(target);
        let (new, old) = (changes::text(version), changes::text(version - 1));
        let updated = Updated {
            key: FIELD,
            new: &new,
            old: stored.unwrap_or(&old),
        };
        out.put_event(Some((numbers, version)), targets.id(target), &updated)?;
        changes.publish();
    }
    Ok(())
}

/// The connection, and room to put a message together in.
struct Out {
    connection: Connection,
    headers: Vec<u8>,
    payload: Vec<u8>,
    /// Events so far.
    number: u64,
}

impl Out {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            headers: Vec::new(),
            payload: Vec::new(),
            number: 0,
        }
    }

    /// Whether the server keeps up.
    fn has_room(&self) -> bool {
        self.connection.backlog() < MAX_BACKLOG
    }

    /// Makes one event; what is sent of it is sent with the next exchange.
    fn put_event(
        &mut self,
        numbered: Option<(&mut Numbers, i64)>,
        endpoint: &[u8],
        updated: &Updated<'_>,
    ) -> Result<()> {
        let (mut headers, mut payload) = (take(&mut self.headers), take(&mut self.payload));
        headers.clear();
        payload.clear();
        if let Some((numbers, version)) = numbered {
            numbers.put_headers(&mut headers, version);
        }
        let mut correlation = [0; CORRELATION.len()];
        correlation.copy_from_slice(CORRELATION.as_bytes());
        put_hex(&mut correlation[24..], self.number);
        let timestamp = wall()?.as_millis() as i64;
        put_event(&mut payload, &correlation, timestamp, endpoint, updated);
        self.publish(SUBJECT, &headers, &payload);
        (self.headers, self.payload) = (headers, payload);
        self.number += 1;
        Ok(())
    }

    fn publish(&mut self, subject: &str, headers: &[u8], payload: &[u8]) {
        let out = self.connection.output();
        let (head, whole) = (headers.len(), headers.len() + payload.len());
        out.extend_from_slice(if head == 0 { b"PUB " } else { b"HPUB " });
        out.extend_from_slice(subject.as_bytes());
        for length in [head, whole].into_iter().skip(usize::from(head == 0)) {
            out.push(b' ');
            put_decimal(out, length as u64);
        }
        for part in [b"\r\n", headers, payload, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

fn wall() -> Result<Duration> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("a clock before 1970")
}
