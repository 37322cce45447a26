//! 15/EME events while gets run, from a connection of their own: a storm at a fixed rate, and at a chosen
//! moment one event that no one can decode, upon which a responder has to drop its whole cache.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::args::{EventsOn, RunArgs};
use crate::dataset;
use crate::figures::Plan;
use crate::nats::Connection;
use crate::targets::Targets;
use crate::wire::put_event;

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
}

impl<'a> Events<'a> {
    /// Connects, if the run has events at all.
    pub fn new(args: &'a RunArgs, targets: &'a Targets) -> Result<Option<Self>> {
        if args.events_per_second == 0.0 && args.flush_at.is_none() {
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
        }))
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
                self.publish(b"\xff");
            }
            let due = ((now - begin).as_secs_f64() * self.args.events_per_second) as u64;
            while self.number < due && self.connection.backlog() < MAX_BACKLOG {
                self.put_event()?;
            }
            self.connection.exchange(TICK)?;
            while self.connection.next()?.is_some() {}
        }
    }

    fn put_event(&mut self) -> Result<()> {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .context("a clock before 1970")?;
        let correlation = format!(
            "{:08x}-0000-4000-8000-{:012x}",
            self.args.dataset.seed as u32, self.number
        );
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let id = match self.others.len() as u64 {
            0 => self
                .targets
                .id((self.number % u64::from(self.targets.known())) as u32),
            count => self.others[(self.number % count) as usize].as_bytes(),
        };
        put_event(&mut payload, correlation.as_bytes(), wall.as_millis() as i64, id);
        self.publish(&payload);
        self.payload = payload;
        self.number += 1;
        Ok(())
    }

    fn publish(&mut self, payload: &[u8]) {
        let out = self.connection.output();
        out.extend_from_slice(format!("PUB {SUBJECT} {}\r\n", payload.len()).as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }
}
