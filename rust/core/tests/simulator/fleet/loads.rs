//! Gets, and the loads that they make.

use super::{Fleet, Happening, MOST_LOADS, gauge, id};
use crate::asking::Asked;
use crate::support::*;
use kaa_epr_core::pipeline::Responder;

impl Fleet {
    pub(super) fn get(&mut self) -> Result<(), String> {
        let wait = self.chance.between(1, 8);
        self.plan(wait, Happening::Get);
        let endpoints = self.two_endpoints();
        let what = match self.chance.below(10) {
            0 => Asked::AppVersions,
            1 => Asked::Keys(0),
            _ => Asked::Metadata(0),
        };
        let place = self.chance.place(self.replicas.len());
        let replica = &mut self.replicas[place];
        if !replica.up {
            return Ok(());
        }
        self.tally.gets += 1;
        self.tally.keys_gets += u64::from(what == Asked::Keys(0));
        self.tally.app_versions += u64::from(what == Asked::AppVersions);
        let reply = format!("r{}", self.tally.gets);
        let count = |responder: &Responder| {
            let count = responder.stats().count;
            count.hits + count.unknown_hits
        };
        let before = count(&replica.responder);
        replica.oracle.in_epoch(gauge(&replica.responder, "epoch"));
        let view = replica.frozen.as_deref();
        let deaf = (!replica.hearing).then_some(self.majority.as_slice());
        replica.oracle.asked(&reply, what, endpoints, deaf, view);
        let names = endpoints.map(id);
        what.send(
            &mut replica.responder,
            names.each_ref().map(String::as_str),
            &reply,
            self.now,
        );
        let hits = count(&replica.responder) - before;
        self.tally.hits += hits;
        if hits > 0 && gauge(&replica.responder, "coherent") == 0 {
            return Err("the cache was used while not coherent".to_owned());
        }
        self.settle(place)
    }

    fn two_endpoints(&mut self) -> [usize; 2] {
        let first = self.chance.popular(self.store.len());
        let further = 1 + self.chance.place(self.store.len() - 1);
        [first, (first + further) % self.store.len()]
    }

    /// Takes what came out, and begins the loads that are wanted.
    pub(super) fn settle(&mut self, place: usize) -> Result<(), String> {
        let replica = &mut self.replicas[place];
        replica.oracle.in_epoch(gauge(&replica.responder, "epoch"));
        for answer in answers(&mut replica.responder) {
            let reply = &answer.reply;
            let (what, endpoints) = replica.oracle.answer_to(reply)?;
            let names = endpoints.map(id);
            let (status, mut versions) = what.read(&answer, names.each_ref().map(String::as_str))?;
            match status {
                200 | 404 => {}
                503 => {
                    self.tally.unavailable += 1;
                    versions.clear();
                }
                other => return Err(format!("{reply} was answered {other}")),
            }
            replica.oracle.answered(reply, &versions)?;
        }
        while self.replicas[place].loads < MOST_LOADS {
            let Some((load, ids)) = self.replicas[place].responder.begin_load(4, at(self.now)) else {
                break;
            };
            self.replicas[place].loads += 1;
            self.load(place, load, &ids);
        }
        Ok(())
    }

    pub(super) fn load(&mut self, replica: usize, load: u64, ids: &[String]) {
        let number = |id: &String| id.rsplit('-').next().and_then(|number| number.parse().ok());
        let endpoints: Vec<usize> = ids.iter().filter_map(number).collect();
        if self.faulty() && self.chance.permille(self.manner.failing_store) {
            let delay = self.chance.between(1, STORE_TIMEOUT);
            return self.plan(delay, Happening::Fail(replica, load));
        }
        let slow = self.faulty() && self.chance.permille(self.manner.slow_store);
        let most = if slow { 900 } else { 15 };
        let (delay, rest) = (self.chance.between(0, most), self.chance.between(0, most));
        self.plan(delay, Happening::Read(replica, load, endpoints, rest));
    }

    pub(super) fn read(&mut self, replica: usize, load: u64, endpoints: &[usize], rest: u64) {
        let view = self.replicas[replica].frozen.as_ref().unwrap_or(&self.majority);
        let found = endpoints
            .iter()
            .map(|endpoint| (*endpoint, view[*endpoint]))
            .collect();
        self.plan(rest, Happening::End(replica, load, found));
    }

    pub(super) fn land(&mut self, replica: usize, load: u64, found: &[(usize, i64)]) -> Result<(), String> {
        let existing = found.iter().filter(|(_, version)| *version > 0);
        let documents = existing.map(|(endpoint, version)| revealing(&id(*endpoint), *version));
        let batch = documents.collect::<Vec<_>>().concat();
        self.replicas[replica].loads -= 1;
        self.replicas[replica]
            .responder
            .end_load(load, &[&batch], at(self.now));
        self.settle(replica)
    }
}
