//! A responder, its store, one writer and the channel between them, one step at a time; and the model that judges.
//!
//! The model is `floor` and `given`: what a get must at least be answered with, because of what the responder was
//! told before the get came, and because of what others were answered with.

use kaa_epr_core::bugs::Bug;
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::Responder;
use kaa_epr_core::stats::FlushCause;

use crate::asking::Asked;
use crate::support::*;

/// Endpoints under test; `BALLAST` fills the whole cache when it is loaded.
const IDS: [&str; 2] = ["a", "b"];
const BALLAST: &str = "ballast";
const WRITER: &str = "w";

/// What a load brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// What the store had when it began.
    AtBegin,
    /// What the store has when it ends.
    AtEnd,
    /// One version less than the store had when it began.
    Old,
}

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A get comes: a hit, or a miss that is parked.
    Get(usize),
    /// A keys get comes.
    Keys(usize),
    /// A request for the application versions of both endpoints comes.
    AppVersions,
    /// A load of all queued flights begins.
    Begin,
    /// The running load at this place ends.
    End(usize, Read),
    /// The writer changes an endpoint; the event is on its way.
    Write(usize),
    /// The first event on its way arrives.
    Event,
    /// One read brings the first event on its way and behind it a get.
    EventThenGet(usize),
    /// The first event on its way is lost.
    Lose,
    /// The writer's heartbeat arrives, behind every event that is not lost.
    Beat,
    /// Something that needs all the room is loaded.
    Evict,
    /// The operator flushes.
    Flush,
    /// The oldest age passes.
    Expire,
    /// The connection is lost with all events on their way, and made again.
    Reconnect,
    /// The event subscriptions of the connection are confirmed.
    Ears,
    /// So many milliseconds pass.
    Pass(u64),
}

impl Step {
    /// Whether doing it twice in a row is the same as doing it once, so that it need not be tried.
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Evict | Self::Flush | Self::Expire | Self::Reconnect | Self::Beat
        )
    }
}

#[derive(Clone, Debug)]
struct Load {
    number: u64,
    /// Endpoints it is for, with their versions when it began.
    reads: Vec<(usize, i64)>,
    /// Begun so soon after a foreign event that it may bring what is old.
    excused: bool,
}

/// An event as it arrives.
struct Arriving {
    kind: Kind,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Waiting {
    reply: String,
    asked: Asked,
    /// What each endpoint that it is about must at least be answered with.
    floors: [i64; 2],
}

/// How a world differs from the plainest one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    pub bug: Option<Bug>,
    /// Events have no headers, and the store may be behind for as long as they settle.
    pub foreign: bool,
    /// The server is one of several: events of the first 2 s may be lost.
    pub cluster: bool,
    /// Events have numbers, and their writer is known.
    pub numbered: bool,
}

#[derive(Clone, Debug)]
pub struct World {
    responder: Responder,
    setting: Setting,
    ms: u64,
    /// Versions in the store; 0: no document.
    store: [i64; 2],
    /// Events on their way: number, endpoint, version.
    events: Vec<(u64, usize, i64)>,
    lost: Vec<(u64, usize, i64)>,
    published: u64,
    /// Number of the last event the writer was heard with, and when.
    heard: (u64, u64),
    loads: Vec<Load>,
    waiting: Vec<Waiting>,
    asked: usize,
    deaf: bool,
    told: [i64; 2],
    given: [i64; 2],
    settled_at: [u64; 2],
}

impl World {
    pub fn new(setting: Setting) -> Self {
        let mut settings = config();
        settings.cache.max_bytes = 1_400;
        let mut responder = Responder::new(settings);
        if let Some(bug) = setting.bug {
            responder.break_rule(bug);
        }
        for kind in [Kind::Get, Kind::Registered, Kind::MetadataUpdated] {
            assert!(responder.bind(kind as u64, kind));
        }
        responder.link_up(1 << 20, true, setting.cluster, at(0));
        responder.ears(true, 0);
        if setting.numbered {
            heartbeat(&mut responder, WRITER, 0, 0);
        }
        Self {
            responder,
            setting,
            ms: 0,
            store: [0; 2],
            events: Vec::new(),
            lost: Vec::new(),
            published: 0,
            heard: (0, 0),
            loads: Vec::new(),
            waiting: Vec::new(),
            asked: 0,
            deaf: false,
            told: [0; 2],
            given: [0; 2],
            settled_at: [0; 2],
        }
    }

    /// Whether a step can happen and makes a difference.
    pub fn enabled(&self, step: Step) -> bool {
        match step {
            Step::Get(_)
            | Step::Keys(_)
            | Step::AppVersions
            | Step::Write(_)
            | Step::Flush
            | Step::Reconnect => true,
            Step::Pass(_) => self.loads.is_empty(),
            Step::Begin => self.responder.wants_load(),
            Step::End(load, read) => self.loads.get(load).is_some_and(|load| match read {
                Read::AtBegin => true,
                Read::AtEnd => load
                    .reads
                    .iter()
                    .any(|(endpoint, read)| self.store[*endpoint] != *read),
                Read::Old => {
                    load.reads.iter().any(|(_, read)| *read > 0) && (!self.setting.foreign || load.excused)
                }
            }),
            Step::Event | Step::EventThenGet(_) => !self.events.is_empty(),
            Step::Lose => !self.events.is_empty() && (!self.setting.cluster || self.ms < SETTLE),
            Step::Beat => self.events.is_empty(),
            Step::Evict => !self.responder.wants_load() && self.given != [0; 2],
            // A load that runs for longer than entries live is cut off by the store's time limit.
            Step::Expire => self.loads.is_empty() && !self.responder.wants_load(),
            Step::Ears => self.deaf,
        }
    }

    /// Takes the step; what was answered wrongly, if anything was.
    pub fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Get(endpoint) => return self.ask(Asked::Metadata(endpoint)),
            Step::Keys(endpoint) => return self.ask(Asked::Keys(endpoint)),
            Step::AppVersions => return self.ask(Asked::AppVersions),
            Step::Begin => self.begin(),
            Step::End(load, read) => return self.end(load, read),
            Step::Write(endpoint) => self.write(endpoint),
            Step::Event => self.event(),
            Step::EventThenGet(endpoint) => return self.event_then_get(endpoint),
            Step::Lose => self.lost.push(self.events.remove(0)),
            Step::Beat => self.beat(),
            Step::Evict => self.evict(),
            Step::Flush => self.responder.flush(FlushCause::Operator),
            Step::Expire => self.pass(MAX_AGE),
            Step::Pass(ms) => self.pass(ms),
            Step::Reconnect => self.reconnect(),
            Step::Ears => self.ears(),
        }
        Ok(())
    }

    fn ask(&mut self, asked: Asked) -> Result<(), String> {
        let reply = self.expect(asked);
        asked.send(&mut self.responder, IDS, &reply, self.ms);
        self.judge(false)
    }

    /// From now on somebody waits for an answer; the reply subject.
    fn expect(&mut self, asked: Asked) -> String {
        let silent = self.setting.numbered && self.ms >= self.heard.1 + SILENCE;
        let mut floors = self.store;
        if !self.deaf && !silent {
            floors = [0, 1].map(|endpoint: usize| self.told[endpoint].max(self.given[endpoint]));
        }
        self.asked += 1;
        let reply = format!("r{}", self.asked);
        self.waiting.push(Waiting {
            reply: reply.clone(),
            asked,
            floors,
        });
        reply
    }

    fn begin(&mut self) {
        let (number, ids) = self
            .responder
            .begin_load(100, at(self.ms))
            .expect("one is queued");
        let place = |id: &String| IDS.iter().position(|known| known == id).expect("is ours");
        let reads: Vec<_> = ids
            .iter()
            .map(place)
            .map(|place| (place, self.store[place]))
            .collect();
        let excused = reads.iter().all(|(place, _)| self.ms < self.settled_at[*place]);
        self.loads.push(Load {
            number,
            reads,
            excused,
        });
    }

    fn end(&mut self, load: usize, read: Read) -> Result<(), String> {
        let load = self.loads.remove(load);
        let mut documents = Vec::new();
        for (endpoint, at_begin) in load.reads {
            let version = match read {
                Read::AtBegin => at_begin,
                Read::AtEnd => self.store[endpoint],
                Read::Old => (at_begin - 1).max(0),
            };
            if version > 0 {
                documents.push(revealing(IDS[endpoint], version));
            }
        }
        let ended = self
            .responder
            .end_load(load.number, &[&documents.concat()], at(self.ms));
        assert_eq!(ended, Some(Vec::new()));
        self.judge(load.excused && read == Read::Old)
    }

    /// Every answer is to somebody who waits, and not from before what the responder had been told.
    fn judge(&mut self, excused: bool) -> Result<(), String> {
        if self.responder.output().is_empty() {
            return Ok(());
        }
        for answer in answers(&mut self.responder) {
            let reply = &answer.reply;
            let Some(place) = self.waiting.iter().position(|waiting| waiting.reply == *reply) else {
                return Err(format!("{reply} was answered twice"));
            };
            let Waiting { asked, floors, .. } = self.waiting.remove(place);
            let (status, versions) = asked.read(&answer, IDS);
            match status {
                200 | 404 => {}
                503 => continue,
                other => return Err(format!("{reply} was answered {other}")),
            }
            for (endpoint, version) in versions {
                // A part of an answer may have been read before others were answered with more.
                let least = match asked {
                    Asked::AppVersions => floors[endpoint],
                    _ => floors[endpoint].max(self.given[endpoint]),
                };
                if version < least && !excused {
                    return Err(format!(
                        "{reply} was answered with version {version}, not {least} or more"
                    ));
                }
                if !excused {
                    self.given[endpoint] = self.given[endpoint].max(version);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, endpoint: usize) {
        self.store[endpoint] += 1;
        self.published += 1;
        self.events.push((self.published, endpoint, self.store[endpoint]));
    }

    fn event(&mut self) {
        let Arriving {
            kind,
            headers,
            payload,
        } = self.arriving();
        let message = Message {
            kind,
            reply: &[],
            headers: &headers,
            payload: &payload,
        };
        self.responder.message(&message, false, at(self.ms));
    }

    fn event_then_get(&mut self, endpoint: usize) -> Result<(), String> {
        let Arriving {
            kind,
            headers,
            payload,
        } = self.arriving();
        let reply = self.expect(Asked::Metadata(endpoint));
        let chunk = [
            framed(kind, "", &headers, &payload),
            framed(Kind::Get, &reply, &[], &get("c", IDS[endpoint])),
        ];
        let fed = self.responder.feed(&chunk.concat(), at(self.ms));
        assert!(fed.rest.is_empty() && !fed.more);
        self.judge(false)
    }

    /// The first event on its way, which the responder knows from now on.
    fn arriving(&mut self) -> Arriving {
        let (number, endpoint, version) = self.events.remove(0);
        let (seq, text) = (number.to_string(), version.to_string());
        let headers = [
            ("Kaa-Epr-Version", text.as_str()),
            ("Kaa-Epr-Writer", WRITER),
            ("Kaa-Epr-Seq", seq.as_str()),
        ];
        let used = match (self.setting.foreign, self.setting.numbered) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 3,
        };
        self.told[endpoint] = self.told[endpoint].max(version);
        if self.setting.foreign {
            self.settled_at[endpoint] = self.ms + FOREIGN_SETTLE;
        }
        self.numbers_tell(number);
        let kind = if version == 1 {
            Kind::Registered
        } else {
            Kind::MetadataUpdated
        };
        Arriving {
            kind,
            headers: header_block(&headers[..used]),
            payload: event_payload(kind, IDS[endpoint]),
        }
    }

    fn beat(&mut self) {
        heartbeat(&mut self.responder, WRITER, self.published, self.ms);
        self.numbers_tell(self.published);
    }

    /// A number shows that all before it were published: what is lost of them is known to be.
    fn numbers_tell(&mut self, number: u64) {
        if self.setting.numbered {
            self.heard = (number, self.ms);
            for (seq, endpoint, version) in &self.lost {
                if *seq <= number {
                    self.told[*endpoint] = self.told[*endpoint].max(*version);
                }
            }
        }
    }

    fn evict(&mut self) {
        ask(&mut self.responder, "ballast", &get("c", BALLAST), self.ms);
        if self.responder.wants_load() {
            let load = begin(&mut self.responder, &[BALLAST], self.ms);
            end(
                &mut self.responder,
                load,
                &[stored(BALLAST, 1, &"x".repeat(1_000))],
                self.ms,
            );
        }
        self.responder.clear_output();
    }

    fn pass(&mut self, ms: u64) {
        let before = self.ms;
        self.ms += ms;
        // Rule 9: whatever was lost, nothing from before is served. Rule 3: what was lost while the cluster
        // settled was not cached.
        let settled = self.setting.cluster && before < SETTLE && self.ms >= SETTLE;
        if ms == MAX_AGE || settled {
            self.told = self.store;
        }
    }

    fn reconnect(&mut self) {
        self.responder.link_down();
        self.responder
            .link_up(1 << 20, true, self.setting.cluster, at(self.ms));
        self.events.clear();
        self.deaf = true;
    }

    fn ears(&mut self) {
        self.responder.ears(true, self.ms);
        self.deaf = false;
        self.told = self.store;
    }

    /// Lets everything end, and asks once more: nobody waits for ever, and what is cached now is right.
    pub fn finish(mut self) -> Result<(), String> {
        (0..IDS.len()).try_for_each(|endpoint| self.ask(Asked::Metadata(endpoint)))?;
        while self.responder.wants_load() || !self.loads.is_empty() {
            if self.responder.wants_load() {
                self.begin();
            }
            while !self.loads.is_empty() {
                self.end(0, Read::AtBegin)?;
            }
        }
        match self.waiting.is_empty() && self.responder.pending() == 0 {
            true => Ok(()),
            false => Err(format!("nobody answers {:?}", self.waiting)),
        }
    }
}
