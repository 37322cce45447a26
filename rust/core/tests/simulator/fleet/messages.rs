//! Registers write, publish, beat, crash and start again; their messages get lost, come twice, or late.

use super::{Fleet, Happening, LONGEST_LOAD, MOST_LAG, Sender, id};
use crate::oracle::{BOUND, MOST_DELAY};
use crate::support::exact::{exact_payload, headers_of};
use crate::support::*;
use crate::writer::Message;
use kaa_epr_core::frame::Kind;

/// How many events of a thousand can be applied to what is cached.
const EXACT: u64 = 800;

impl Fleet {
    pub(super) fn write(&mut self, place: usize) {
        let wait = self.chance.between(20, 600);
        self.plan(wait, Happening::Write(place));
        if !self.registers[place].up {
            return;
        }
        let endpoint = self.chance.popular(self.store.len());
        self.store[endpoint] += 1;
        let version = self.store[endpoint];
        self.tally.writes += 1;
        let lag = match self.registers[place].stock {
            true => self.chance.between(0, MOST_LAG),
            false => 0,
        };
        if lag == 0 {
            self.majority[endpoint] = version;
        } else {
            self.plan(lag, Happening::Majority(endpoint, version));
        }
        self.registers[place].outbox.push_back((endpoint, version));
        if self.faulty() && self.chance.permille(8) {
            return self.crash(place);
        }
        let delay = self.chance.between(0, 5);
        self.plan(delay, Happening::Publish(place));
        if self.faulty() && self.chance.permille(4) {
            self.plan(2, Happening::Crash(place));
        }
    }

    pub(super) fn publish(&mut self, place: usize) {
        let exact = self.chance.permille(EXACT);
        if self.registers[place].up
            && let Some(message) = self.registers[place].publish(exact)
        {
            self.send(place, &message);
        }
    }

    pub(super) fn beat(&mut self, place: usize, start: u64) {
        let register = &self.registers[place];
        if register.up && register.start == start && !register.stock {
            let message = register.beat(false);
            self.send(place, &message);
            self.plan(500, Happening::Beat(place, start));
        }
    }

    /// Without a goodbye: whatever is in the outbox waits there, and the replicas that know the writer miss it.
    pub(super) fn crash(&mut self, place: usize) {
        let register = &mut self.registers[place];
        if !register.up {
            return;
        }
        let polite = register.outbox.is_empty() && !register.stock && self.chance.permille(500);
        register.up = false;
        self.tally.crashes += 1;
        let (writer, goodbye) = (register.start, register.beat(true));
        let unpublished: Vec<_> = register.outbox.iter().copied().collect();
        if polite {
            self.send(place, &goodbye);
        }
        for replica in 0..self.replicas.len() {
            let missed = self.replicas[replica].up && self.replicas[replica].oracle.knows(writer, self.now);
            for (endpoint, version) in unpublished.iter().filter(|_| missed) {
                self.plan(BOUND, Happening::Require(replica, *endpoint, *version));
            }
        }
        let wait = self.chance.between(500, 8_000);
        self.plan(wait, Happening::Restart(place));
    }

    pub(super) fn restart(&mut self, place: usize) {
        self.registers[place].restart(self.starts);
        self.starts += 1;
        self.registers[place].up = true;
        self.beat(place, self.starts - 1);
        for delay in 0..self.registers[place].outbox.len() as u64 {
            self.plan(50 + delay, Happening::Publish(place));
        }
    }

    /// To every replica by itself: it may be lost, come twice, or take long and be overtaken.
    pub(super) fn send(&mut self, place: usize, message: &Message) {
        let (writer, stock) = (self.registers[place].start, self.registers[place].stock);
        for replica in 0..self.replicas.len() {
            let unheard = self.now < self.replicas[replica].heard_from[place];
            // Nobody can tell when an event without a number is overtaken: of those there are none here. That one
            // is lost shows in the age of what is cached alone.
            let faulty = self.faulty() && !stock;
            let often = if stock {
                self.manner.lose_foreign
            } else {
                self.manner.lose
            };
            let lost = self.faulty() && self.chance.permille(often);
            let connection = self.replicas[replica].connection;
            if !self.replicas[replica].up {
                continue;
            }
            if lost || unheard {
                self.lose(replica, writer, message);
                // Rule 3, where no writer that is heard ends the wait.
                if let (
                    true,
                    1,
                    Message::Event {
                        endpoint, version, ..
                    },
                ) = (stock && unheard, self.registers.len(), message)
                {
                    let settled = self.replicas[replica].up_at + SETTLE + MOST_DELAY;
                    let wait = settled.saturating_sub(self.now);
                    // What the majority may not have when the wait is over can be cached as it was before.
                    if wait >= MOST_LAG + MOST_DELAY {
                        self.plan(wait, Happening::Require(replica, *endpoint, *version));
                    }
                }
                continue;
            }
            let copies = 1 + u64::from(faulty && self.chance.permille(self.manner.repeat));
            for _ in 0..copies {
                let dawdles = faulty && self.chance.permille(self.manner.dawdle);
                let delay = if dawdles {
                    self.chance.between(5, MOST_DELAY)
                } else {
                    5
                };
                let sender = Sender {
                    connection,
                    writer,
                    stock,
                };
                let arrival = Happening::Deliver(replica, sender, message.clone());
                self.plan(delay, arrival);
            }
        }
    }

    pub(super) fn lose(&mut self, replica: usize, writer: u64, message: &Message) {
        self.tally.lost += 1;
        if let Message::Event {
            seq,
            endpoint,
            version,
            ..
        } = message
        {
            let oracle = &mut self.replicas[replica].oracle;
            if oracle.lost(writer, *seq, *endpoint, *version, self.now) {
                self.plan(BOUND, Happening::Require(replica, *endpoint, *version));
            }
            // Rule 9: what was read at the latest when the majority had not got it was cached a load later.
            let gone = self.manner.max_age + MOST_LAG + LONGEST_LOAD;
            self.plan(gone, Happening::Require(replica, *endpoint, *version));
        }
    }

    pub(super) fn deliver(&mut self, place: usize, sender: Sender, message: &Message) -> Result<(), String> {
        let now = self.now;
        let Sender {
            connection,
            writer,
            stock,
        } = sender;
        let replica = &mut self.replicas[place];
        let unsubscribed = !replica.hearing && self.chance.permille(500);
        if !replica.up || replica.connection != connection || unsubscribed {
            self.tally.lost += 1;
            return Ok(());
        }
        self.tally.delivered += 1;
        let name = format!("writer-{writer}");
        match message {
            Message::Beat { seq, leaving: false } => heartbeat(&mut replica.responder, &name, *seq, now),
            Message::Beat { seq, leaving: true } => goodbye(&mut replica.responder, &name, *seq, now),
            Message::Event {
                seq,
                endpoint,
                version,
                exact,
            } => {
                let kind = if *version == 1 {
                    Kind::Registered
                } else {
                    Kind::MetadataUpdated
                };
                let payload = match kind {
                    Kind::MetadataUpdated => exact_payload(&id(*endpoint), *version),
                    _ => event_payload(kind, &id(*endpoint)),
                };
                let headers = match stock {
                    true => Vec::new(),
                    false => headers_of(&name, *seq, *version, exact.then_some(*version - 1)),
                };
                hear(&mut replica.responder, kind, &headers, &payload, now);
                let view = replica.frozen.as_ref().map(|view| view[*endpoint]);
                replica.oracle.event(*endpoint, *version, stock, view);
                if stock {
                    let settled = FOREIGN_SETTLE + LONGEST_LOAD;
                    self.plan(settled, Happening::Require(place, *endpoint, *version));
                }
            }
        }
        if !stock {
            self.replicas[place].oracle.heard(writer, message.seq(), now);
        }
        self.settle(place)
    }
}
