//! One connection: sends gets as its pace allows, takes their answers, keeps the figures.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::args::RunArgs;
use crate::book::{Book, CORRELATION, Get};
use crate::check::{Judge, Settled};
use crate::figures::{Figures, Plan};
use crate::nats::Connection;
use crate::targets::Targets;
use crate::wire::{put_decimal, put_long};

/// How often lost gets are looked for.
const SWEEP: Duration = Duration::from_millis(100);
/// Unsent bytes beyond which no further gets are made.
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// Gets under way while the cache is filled, at least.
const PREFILL_WINDOW: u32 = 256;
/// Attempts per endpoint, on average, before asking for each is given up.
const PREFILL_ATTEMPTS: usize = 10;

/// When gets are sent.
enum Pace {
    /// As answers come: this many under way.
    Window(usize),
    /// At fixed times.
    Rate { next: Instant, gap: Duration },
}

impl Pace {
    /// The moment the next get was due, if it may go out at `now`.
    fn due(&mut self, now: Instant, under_way: usize) -> Option<Instant> {
        match self {
            Self::Window(size) => (under_way < *size).then_some(now),
            Self::Rate { next, gap } => {
                let due = *next;
                (due <= now).then(|| {
                    *next += *gap;
                    due
                })
            }
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        match self {
            Self::Window(_) => SWEEP,
            Self::Rate { next, .. } => next.saturating_duration_since(now).min(SWEEP),
        }
    }
}

/// One connection of the generator.
pub struct Worker<'a> {
    args: &'a RunArgs,
    targets: &'a Targets,
    order: &'a [u32],
    position: usize,
    number: u32,
    connection: Connection,
    book: Book,
    slots: u32,
    /// "PUB subject reply ".
    head: Vec<u8>,
    /// Encoded timestamp and timeout, renewed with each batch.
    stamp: Vec<u8>,
    /// What the answers came to.
    pub judge: Judge,
    /// Gets sent.
    pub sent: u64,
}

impl<'a> Worker<'a> {
    /// Connects; `run` sets this run's correlation ids and reply subject apart from others'.
    pub fn new(
        args: &'a RunArgs,
        targets: &'a Targets,
        order: &'a [u32],
        run: u32,
        number: u32,
    ) -> Result<Self> {
        let reply = format!("kaa.v1.replica.load-{run:08x}-{number}.epmmp.ep-metadata-get-response");
        let head = format!(
            "PUB kaa.v1.service.{}.epmmp.ep-metadata-get-request {reply} ",
            args.instance
        );
        let most = if args.rate.is_some() {
            args.max_inflight
        } else {
            args.window
        };
        let slots = share(most, args.connections, number).max(PREFILL_WINDOW);
        Ok(Self {
            args,
            targets,
            order,
            position: order.len() / args.connections as usize * number as usize,
            number,
            connection: Connection::open(&args.nats, &[&reply])?,
            book: Book::new(run, number as u16, slots),
            slots,
            head: head.into_bytes(),
            stamp: Vec::new(),
            judge: Judge::new(args.expect, args.revision, targets),
            sent: 0,
        })
    }

    /// Asks for this worker's share of the known endpoints until each was answered, those answered 503 or not
    /// at all again. Returns how many gets that took; an error upon any other wrong answer.
    pub fn ask_each(&mut self) -> Result<u64> {
        let mut queue: VecDeque<u32> = (self.number..self.targets.known())
            .step_by(self.args.connections as usize)
            .collect();
        let most = queue.len() * PREFILL_ATTEMPTS;
        let mut sweep = Instant::now() + SWEEP;
        while !queue.is_empty() || self.book.under_way() > 0 {
            let now = Instant::now();
            self.set_stamp()?;
            let free = self.slots as usize - self.book.under_way();
            for target in queue.drain(..free.min(queue.len())) {
                self.ask(self.targets.get(target, now));
            }
            if self.sent as usize > most {
                bail!(
                    "asking for each endpoint failed: {:?} {:?}",
                    self.judge.statuses,
                    self.judge.faults
                );
            }
            self.connection.exchange(SWEEP)?;
            let mut wrong = None;
            self.answers(|settled| match settled.status {
                _ if settled.right => {}
                503 => queue.push_back(settled.get.target),
                _ => wrong = Some(settled.get.target),
            })?;
            if let Some(target) = wrong {
                let id = String::from_utf8_lossy(self.targets.id(target)).into_owned();
                bail!(
                    "asking for each endpoint: {id} is answered wrongly: {:?}",
                    self.judge.faults
                );
            }
            if now >= sweep {
                self.book
                    .expire(now - self.args.timeout, |get| queue.push_back(get.target));
                sweep = now + SWEEP;
            }
        }
        self.judge.reset();
        Ok(std::mem::take(&mut self.sent))
    }

    /// Runs the load of the plan and waits for what is then still under way.
    pub fn measure(&mut self, plan: &Plan) -> Result<Figures> {
        let mut figures = Figures::new(plan)?;
        let mut pace = self.pace();
        let mut sweep = Instant::now() + SWEEP;
        loop {
            let now = Instant::now();
            let running = now < plan.end;
            if running {
                self.send_due(&mut pace, now)?;
            } else if self.book.under_way() == 0 {
                return Ok(figures);
            }
            let wait = if running {
                pace.wait(now).min(plan.end - now)
            } else {
                SWEEP
            };
            self.connection.exchange(wait)?;
            let arrival = Instant::now();
            self.answers(|settled| figures.add(plan, settled, arrival))?;
            if now >= sweep {
                let lost = &mut self.judge.faults.lost;
                self.book.expire(now - self.args.timeout, |get| {
                    *lost += 1;
                    figures.add_lost(plan, get.origin, now);
                });
                sweep = now + SWEEP;
            }
        }
    }

    fn pace(&self) -> Pace {
        match self.args.rate {
            None => Pace::Window(share(self.args.window, self.args.connections, self.number) as usize),
            Some(rate) => {
                let gap = Duration::from_secs_f64(f64::from(self.args.connections) / rate);
                Pace::Rate {
                    next: Instant::now(),
                    gap,
                }
            }
        }
    }

    fn send_due(&mut self, pace: &mut Pace, now: Instant) -> Result<()> {
        self.set_stamp()?;
        while self.book.under_way() < self.slots as usize && self.connection.backlog() < MAX_BACKLOG {
            let Some(origin) = pace.due(now, self.book.under_way()) else {
                break;
            };
            let target = self.order[self.position];
            self.position = (self.position + 1) % self.order.len();
            self.ask(self.targets.get(target, origin));
        }
        Ok(())
    }

    /// Timestamp and timeout of the gets made from here on.
    fn set_stamp(&mut self) -> Result<()> {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .context("a clock before 1970")?;
        self.stamp.clear();
        put_long(&mut self.stamp, wall.as_millis() as i64);
        put_long(&mut self.stamp, self.args.timeout.as_millis() as i64);
        Ok(())
    }

    /// Appends one get to what is sent next; the caller has made sure of a free slot.
    fn ask(&mut self, mut get: Get) {
        get.expected.least = self.judge.newest(get.target);
        let tail = self.targets.tail(get.target);
        let out = self.connection.output();
        out.extend_from_slice(&self.head);
        put_decimal(out, (1 + CORRELATION + self.stamp.len() + tail.len()) as u64);
        out.extend_from_slice(b"\r\n");
        out.push(2 * CORRELATION as u8); // the length as a zigzag varint
        self.book.enter(get, out);
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(tail);
        out.extend_from_slice(b"\r\n");
        self.sent += 1;
    }

    fn answers(&mut self, mut each: impl FnMut(&Settled)) -> Result<()> {
        while let Some(range) = self.connection.next()? {
            let message = self.connection.bytes(range);
            if let Some(settled) = self.judge.settle(message, &mut self.book, self.targets) {
                each(&settled);
            }
        }
        Ok(())
    }
}

/// Part `number` of `whole` cut into `parts`.
fn share(whole: u32, parts: u32, number: u32) -> u32 {
    whole / parts + u32::from(number < whole % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_rate_keeps_to_its_times_whatever_was_late() {
        let start = Instant::now();
        let mut pace = Pace::Rate {
            next: start,
            gap: Duration::from_millis(10),
        };
        let late = start + Duration::from_millis(25);
        let due: Vec<_> = std::iter::from_fn(|| pace.due(late, 1_000))
            .map(|due| (due - start).as_millis())
            .collect();
        assert_eq!(due, [0, 10, 20]);
        assert_eq!(pace.wait(late), Duration::from_millis(5));
    }
}
