//! Connections are lost and made; the store gets a new primary.

use super::{FAULTY, Fleet, Happening};
use crate::support::*;

impl Fleet {
    pub(super) fn down(&mut self, place: usize) {
        let replica = &mut self.replicas[place];
        if !self.now.lt(&FAULTY) || !replica.up {
            return;
        }
        replica.up = false;
        replica.hearing = false;
        replica.responder.link_down();
        replica.oracle.cut_off();
        // Short gaps are those that loads outlive.
        let longest = [100, 3_000][self.chance.place(2)];
        let wait = self.chance.between(0, longest);
        self.plan(wait, Happening::Up(place));
    }

    pub(super) fn up(&mut self, place: usize) -> Result<(), String> {
        self.tally.reconnects += 1;
        let cluster = self.manner.cluster;
        for register in 0..self.registers.len() {
            let spread = self.chance.between(0, SETTLE - 1);
            self.replicas[place].heard_from[register] = self.now + if cluster { spread } else { 0 };
        }
        let replica = &mut self.replicas[place];
        replica.up = true;
        replica.up_at = self.now;
        replica.connection += 1;
        replica.responder.link_up(1 << 20, true, cluster, at(self.now));
        let connection = replica.connection;
        // Now and then a subscription is refused at first.
        let most = if self.chance.permille(100) { 3_000 } else { 40 };
        let wait = self.chance.between(1, most);
        self.plan(wait, Happening::Ears(place, connection));
        if !self.manner.quiet {
            let life = self.chance.between(500, 20_000);
            self.plan(life, Happening::Down(place));
        }
        self.settle(place)
    }

    pub(super) fn ears(&mut self, place: usize, connection: u64) -> Result<(), String> {
        let replica = &mut self.replicas[place];
        if replica.connection == connection && replica.up {
            replica.responder.ears(true, self.now);
            replica.hearing = true;
            let majority = self.majority.clone();
            self.replicas[place].oracle.ears(&majority);
        }
        self.settle(place)
    }

    /// A new primary is elected; each replica goes on reading from the old one until its driver finds out.
    pub(super) fn failover(&mut self) {
        if !self.faulty() || self.replicas.iter().any(|replica| replica.frozen.is_some()) {
            return;
        }
        self.tally.failovers += 1;
        for place in 0..self.replicas.len() {
            self.replicas[place].frozen = Some(self.majority.clone());
            let wait = self.chance.between(100, 5_000);
            self.plan(wait, Happening::NewPrimary(place));
        }
        let wait = self.chance.between(6_000, 20_000);
        self.plan(wait, Happening::Failover);
    }
}
