//! A responder, its store, one writer and the channel between them, one step at a time; and the model that judges.
//!
//! The model is `floor` and `given`: what a get must at least be answered with, because of what the responder was
//! told before the get came, and because of what others were answered with.

use kaa_epr_core::epmmp::Revision;
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::Responder;
use kaa_epr_core::stats::FlushCause;

use crate::asking::Asked;
use crate::steps::{Read, Setting, Step};
use crate::support::exact::{exact_payload, headers_of, stamp};
use crate::support::*;

/// Endpoints under test; `BALLAST` fills the whole cache when it is loaded.
const IDS: [&str; 2] = ["a", "b"];
const BALLAST: &str = "ballast";
const WRITER: &str = "w";

#[derive(Clone, Debug)]
struct Load {
    number: u64,
    /// Endpoints it is for, with their versions when it began.
    reads: Vec<(usize, i64)>,
    /// Begun so soon after a foreign event that it may bring what is old.
    excused: bool,
    /// How often the first endpoint had been rewritten when it began.
    stamp: i64,
}

/// An event as it arrives.
struct Arriving {
    number: u64,
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
    /// Which rewriting of the first endpoint is so old that nothing from before may be left.
    stamp: i64,
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
    /// The most that loads brought.
    read: [i64; 2],
    /// When the first endpoint was rewritten.
    rewritten: Vec<u64>,
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
        if setting.cached {
            ask(&mut responder, "filler", &get("c", IDS[0]), 0);
            let load = begin(&mut responder, &IDS[..1], 0);
            end(&mut responder, load, &[revealing(IDS[0], 1)], 0);
            responder.clear_output();
        }
        Self {
            responder,
            setting,
            ms: 0,
            store: [setting.cached.into(); 2],
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
            read: [setting.cached.into(); 2],
            rewritten: Vec::new(),
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
            | Step::Rewrite
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
                    let older = |(endpoint, read): &(usize, i64)| self.old(*endpoint, *read) < *read;
                    load.reads.iter().any(older) && (!self.setting.foreign || load.excused)
                }
            }),
            Step::Event | Step::EventThenGet(_) | Step::Repeat => !self.events.is_empty(),
            Step::Overtake => self.events.len() > 1,
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
            Step::Overtake => {
                self.events.swap(0, 1);
                self.event();
            }
            Step::Repeat => {
                self.events.insert(0, self.events[0]);
                self.event();
            }
            Step::Rewrite => self.rewritten.push(self.ms),
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
            stamp: self
                .rewritten
                .iter()
                .filter(|at| *at + MAX_AGE <= self.ms)
                .count() as i64,
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
            stamp: self.rewritten.len() as i64,
        });
    }

    fn end(&mut self, load: usize, read: Read) -> Result<(), String> {
        let load = self.loads.remove(load);
        let mut documents = Vec::new();
        for (endpoint, at_begin) in load.reads {
            let version = match read {
                Read::AtBegin => at_begin,
                Read::AtEnd => self.store[endpoint],
                Read::Old => self.old(endpoint, at_begin),
            };
            self.read[endpoint] = self.read[endpoint].max(version);
            if version > 0 {
                let stamp = if endpoint == 0 { load.stamp } else { 0 };
                documents.push(stamped(IDS[endpoint], version, stamp));
            }
        }
        let ended = self
            .responder
            .end_load(load.number, &[&documents.concat()], at(self.ms));
        assert_eq!(ended, Some(Vec::new()));
        self.judge(load.excused && read == Read::Old)
    }

    /// What a primary has that was deposed before `version` was written; but what it gave once it does not lose.
    fn old(&self, endpoint: usize, version: i64) -> i64 {
        let kept = if self.setting.foreign {
            0
        } else {
            self.read[endpoint]
        };
        (version - 1).max(kept)
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
            let Waiting {
                asked, floors, stamp, ..
            } = self.waiting.remove(place);
            let (status, versions) = asked.read(&answer, IDS)?;
            recent(&answer, asked, stamp)?;
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
            number,
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
        self.part(number);
    }

    fn event_then_get(&mut self, endpoint: usize) -> Result<(), String> {
        let Arriving {
            number,
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
        self.part(number);
        self.judge(false)
    }

    /// The writer of an exact event leaves.
    fn part(&mut self, number: u64) {
        if self.setting.exact {
            goodbye(&mut self.responder, &format!("{WRITER}-{number}"), 1, self.ms);
        }
    }

    /// The first event on its way, which the responder knows from now on.
    fn arriving(&mut self) -> Arriving {
        let (number, endpoint, version) = self.events.remove(0);
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
        let exact = (self.setting.exact || self.setting.numbered) && kind == Kind::MetadataUpdated;
        Arriving {
            number,
            kind,
            headers: self.headers(number, version),
            payload: match exact {
                true => exact_payload(IDS[endpoint], version),
                false => event_payload(kind, IDS[endpoint]),
            },
        }
    }

    fn headers(&self, number: u64, version: i64) -> Vec<u8> {
        let base = (version % 4 > 0).then_some(version - 1);
        match self.setting {
            Setting { foreign: true, .. } => Vec::new(),
            Setting { exact: true, .. } => headers_of(&format!("{WRITER}-{number}"), 1, version, base),
            Setting { numbered: true, .. } => headers_of(WRITER, number, version, base),
            _ => header_block(&[("Kaa-Epr-Version", &version.to_string())]),
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
                &[stored(BALLAST, 1, &"x".repeat(1_250))],
                self.ms,
            );
        }
        let left = self.responder.cached(IDS.map(str::to_owned).to_vec());
        assert!(left.is_empty(), "{left:?} found room");
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

    /// How often an event was applied to what was cached.
    pub fn applied(&self) -> u64 {
        self.responder.stats().count.events_applied
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

/// Rule 9, for what versions do not show.
fn recent(answer: &Answer, asked: Asked, least: i64) -> Result<(), String> {
    if asked != Asked::Metadata(0) {
        return Ok(());
    }
    let Some(payload) = answer.decode(Revision::Three).payload else {
        return Ok(());
    };
    let found = stamp(std::str::from_utf8(&payload.to_vec()).expect("JSON is UTF-8"));
    match found >= least {
        true => Ok(()),
        false => Err(format!(
            "answered as rewritten {found} times, not {least} or more"
        )),
    }
}
