//! The fleet and its clock: what happens, when, and to whom.

mod links;
mod loads;
mod manner;
mod messages;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use kaa_epr_core::bugs::Bug;
use kaa_epr_core::pipeline::Responder;
use kaa_epr_core::stats::FlushCause;

use crate::chance::Chance;
use crate::oracle::Oracle;
use crate::support::*;
use crate::tally::Tally;
use crate::writer::{Message, Register};
use manner::Manner;

/// Virtual milliseconds with faults, and after them until all must be well again.
const FAULTY: u64 = 40_000;
const CALM: u64 = FORGET + SILENCE + 5_000;
const MOST_LOADS: usize = 3;
/// Longest time until the majority has what a stock writer wrote with w:1, in milliseconds.
const MOST_LAG: u64 = 900;
/// Longest time that a load takes, in milliseconds.
const LONGEST_LOAD: u64 = 2_000;

#[derive(Clone, Debug)]
enum Happening {
    Get,
    Write(usize),
    Publish(usize),
    Beat(usize, u64),
    Crash(usize),
    Restart(usize),
    Deliver(usize, Sender, Message),
    Tick(usize),
    Read(usize, u64, Vec<usize>, u64),
    End(usize, u64, Vec<(usize, i64)>),
    Fail(usize, u64),
    Down(usize),
    Up(usize),
    Ears(usize, u64),
    Failover,
    NewPrimary(usize),
    Require(usize, usize, i64),
    Majority(usize, i64),
}

/// Whose message it is, and which of the replica's connections it travels to.
#[derive(Clone, Copy, Debug)]
struct Sender {
    connection: u64,
    writer: u64,
    stock: bool,
}

#[derive(Debug)]
struct Replica {
    responder: Responder,
    oracle: Oracle,
    up: bool,
    up_at: u64,
    /// The event subscriptions are confirmed.
    hearing: bool,
    /// Which connection this is; messages belong to one.
    connection: u64,
    /// From when on the cluster passes a register's messages on to this connection.
    heard_from: Vec<u64>,
    /// The old primary that it still reads from.
    frozen: Option<Vec<i64>>,
    loads: usize,
}

#[derive(Debug)]
pub struct Fleet {
    chance: Chance,
    manner: Manner,
    cache_bytes: u64,
    now: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    vacant: Vec<usize>,
    made: u64,
    /// What is written, and how much of it the majority has: reads show that.
    store: Vec<i64>,
    majority: Vec<i64>,
    registers: Vec<Register>,
    starts: u64,
    replicas: Vec<Replica>,
    tally: Tally,
}

fn id(endpoint: usize) -> String {
    format!("endpoint-{endpoint}")
}

impl Fleet {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut chance = Chance::new(seed);
        let endpoints = chance.between(2, 30) as usize;
        let registers = chance.between(1, 3) as usize;
        let manner = Manner::new(&mut chance);
        let settings = manner.settings(&mut chance);
        let cache_bytes = settings.cache.max_bytes as u64;
        let replicas = (0..chance.between(1, 3)).map(|_| {
            let mut responder = Responder::new(settings.clone());
            if let Some(bug) = bug {
                responder.break_rule(bug);
            }
            Replica {
                responder,
                oracle: Oracle::new(endpoints),
                up: false,
                up_at: 0,
                hearing: false,
                connection: 0,
                heard_from: vec![0; registers],
                frozen: None,
                loads: 0,
            }
        });
        let replicas: Vec<_> = replicas.collect();
        let stock = manner.stock;
        Self {
            chance,
            manner,
            cache_bytes,
            now: 0,
            agenda: BinaryHeap::new(),
            happenings: Vec::new(),
            vacant: Vec::new(),
            made: 0,
            store: vec![0; endpoints],
            majority: vec![0; endpoints],
            registers: (0..registers as u64)
                .map(|start| Register::new(start, stock && start == 0))
                .collect(),
            starts: registers as u64,
            replicas,
            tally: Tally::default(),
        }
    }

    /// Lives through faults and calm; what was wrong, if anything was.
    pub fn run(mut self) -> Result<Tally, String> {
        self.begin();
        while let Some(Reverse((time, _, place))) = self.agenda.pop() {
            if time > FAULTY + CALM {
                break;
            }
            self.now = time;
            let happening = self.happenings[place].take().expect("is on the agenda once");
            self.vacant.push(place);
            self.tally.operations += 1;
            let about = format!("{happening:?}");
            self.happen(happening)
                .map_err(|wrong| format!("at {time} ms, {about}: {wrong}"))?;
        }
        self.end()
    }

    fn faulty(&self) -> bool {
        self.now < FAULTY
    }

    fn plan(&mut self, delay: u64, happening: Happening) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            self.happenings.len() - 1
        });
        self.happenings[place] = Some(happening);
        self.made += 1;
        self.agenda.push(Reverse((self.now + delay, self.made, place)));
    }

    fn begin(&mut self) {
        for replica in 0..self.replicas.len() {
            self.plan(0, Happening::Up(replica));
            self.plan(0, Happening::Tick(replica));
        }
        for register in 0..self.registers.len() {
            self.plan(1, Happening::Beat(register, self.registers[register].start));
            self.plan(5_000, Happening::Write(register));
        }
        self.plan(10, Happening::Get);
        if !self.manner.quiet {
            let first = self.chance.between(6_000, FAULTY);
            self.plan(first, Happening::Failover);
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Get => return self.get(),
            Happening::Write(register) => self.write(register),
            Happening::Publish(register) => self.publish(register),
            Happening::Beat(register, start) => self.beat(register, start),
            Happening::Crash(register) => self.crash(register),
            Happening::Restart(register) => self.restart(register),
            Happening::Deliver(replica, sender, message) => return self.deliver(replica, sender, &message),
            Happening::Tick(replica) => {
                self.replicas[replica].responder.tick(at(self.now));
                self.plan(100, Happening::Tick(replica));
                self.limits(replica)?;
                return self.settle(replica);
            }
            Happening::Read(replica, load, endpoints, rest) => self.read(replica, load, &endpoints, rest),
            Happening::End(replica, load, found) => return self.land(replica, load, &found),
            Happening::Fail(replica, load) => {
                self.replicas[replica].loads -= 1;
                self.replicas[replica].responder.fail_load(load, at(self.now));
                return self.settle(replica);
            }
            Happening::Down(replica) => self.down(replica),
            Happening::Up(replica) => return self.up(replica),
            Happening::Ears(replica, connection) => return self.ears(replica, connection),
            Happening::Failover => self.failover(),
            Happening::NewPrimary(replica) => {
                self.replicas[replica].frozen = None;
                self.replicas[replica]
                    .responder
                    .flush(FlushCause::StorePrimaryChanged);
                return self.settle(replica);
            }
            Happening::Majority(endpoint, version) => {
                self.majority[endpoint] = self.majority[endpoint].max(version);
            }
            Happening::Require(replica, endpoint, version) => {
                self.replicas[replica].oracle.require(endpoint, version);
            }
        }
        Ok(())
    }

    // --- what must always hold, and at the end --------------------------------------------------------------

    fn limits(&self, place: usize) -> Result<(), String> {
        let replica = &self.replicas[place];
        let settings = config();
        for (name, most) in [
            ("cache_bytes", self.cache_bytes),
            ("unknown_bytes", settings.unknown.max_bytes as u64),
            ("pending", settings.park.max_waiters as u64),
            ("held_bytes", settings.hold.max_bytes as u64),
        ] {
            let value = gauge(&replica.responder, name);
            if value > most {
                return Err(format!("{name} is {value}, more than {most}"));
            }
        }
        for (name, version) in replica.responder.sample(100, 0) {
            let endpoint: usize = name.rsplit('-').next().unwrap().parse().unwrap();
            let told = replica.oracle.told[endpoint];
            if version.is_some_and(|version| version < told) {
                return Err(format!(
                    "{name} is cached as {version:?} though an event told of {told}"
                ));
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<Tally, String> {
        for replica in &self.replicas {
            if gauge(&replica.responder, "coherent") != 1 {
                return Err(format!("not coherent again: {:?}", replica.responder.gauges()));
            }
            let left = replica.oracle.waiting.iter().find(|(_, asked)| !asked.excused);
            if let Some((reply, asked)) = left.filter(|_| replica.responder.pending() == 0) {
                return Err(format!("{reply} was never answered: {asked:?}"));
            }
            let count = replica.responder.stats().count;
            self.tally.expirations += count.expirations;
            self.tally.applied += count.events_applied;
            let flushes = count.list().filter(|(name, _)| name.starts_with("flushes_"));
            self.tally.flushes += flushes.map(|(_, times)| times).sum::<u64>();
        }
        Ok(self.tally)
    }
}

fn gauge(responder: &Responder, name: &str) -> u64 {
    let found = responder.gauges().into_iter().find(|(gauge, _)| *gauge == name);
    found.expect("is a gauge").1
}
