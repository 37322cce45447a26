//! What the tests of the responder share: messages, documents, and what comes out.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod exact;

use kaa_epr_core::avro::{put_long, put_string};
use kaa_epr_core::cache::Bounds;
use kaa_epr_core::coherence::Spans;
use kaa_epr_core::entry::FieldMapping;
use kaa_epr_core::epmmp::get_request::NewGetRequest;
use kaa_epr_core::epmmp::{GetResponse, Revision, Shape};
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::output::HoldBounds;
use kaa_epr_core::park::ParkBounds;
use kaa_epr_core::pipeline::{Config, Now, Responder};

pub const WALL: i64 = 1_700_000_000_000;
pub const STORE_TIMEOUT: u64 = 2_000;
pub const MAX_AGE: u64 = 100_000;
pub const SETTLE: u64 = 2_000;
pub const FOREIGN_SETTLE: u64 = 1_000;
pub const SILENCE: u64 = 1_500;
pub const FORGET: u64 = 60_000;

pub fn config() -> Config {
    Config {
        cache: Bounds {
            max_bytes: 1 << 20,
            max_age_ms: MAX_AGE,
        },
        unknown: Bounds {
            max_bytes: 1 << 16,
            max_age_ms: 10_000,
        },
        park: ParkBounds {
            max_waiters: 1000,
            max_bytes: 1 << 20,
        },
        hold: HoldBounds {
            max_bytes: 4096,
            max_age_ms: 2_000,
        },
        store_timeout_ms: STORE_TIMEOUT,
        default_revision: Revision::One,
        plain_revision: Revision::One,
        spans: Spans {
            settle_ms: SETTLE,
            silence_ms: SILENCE,
            forget_ms: FORGET,
            floor_ms: MAX_AGE,
            foreign_settle_ms: FOREIGN_SETTLE,
        },
        apply_events: true,
        seed: 7,
        mapping: FieldMapping::default(),
    }
}

/// Both clocks `ms` after the start of the test.
pub fn at(ms: u64) -> Now {
    Now {
        wall_ms: WALL + ms as i64,
        mono_ms: ms,
    }
}

/// A responder that is connected to a single server and hears events, at time 0.
pub fn started(config: Config) -> Responder {
    let mut responder = Responder::new(config);
    connect(&mut responder, 0);
    responder
}

pub fn connect(responder: &mut Responder, ms: u64) {
    responder.link_up(1 << 20, true, false, at(ms));
    responder.ears(true, ms);
}

// --- messages -----------------------------------------------------------------------------------------------

/// A revision 3 get for all metadata.
pub fn get(correlation_id: &str, id: &str) -> Vec<u8> {
    get_with(
        correlation_id,
        id,
        0,
        &[],
        Shape::WithFlag {
            include_metadata: true,
        },
    )
}

pub fn get_with(correlation_id: &str, id: &str, timeout: i64, include: &[&str], shape: Shape) -> Vec<u8> {
    let mut payload = Vec::new();
    let new = NewGetRequest {
        correlation_id,
        timestamp: WALL,
        timeout,
        endpoint_id: id,
        include,
        shape,
    };
    new.encode(&mut payload);
    payload
}

pub fn event_payload(kind: Kind, id: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    put_string(&mut payload, "event");
    put_long(&mut payload, WALL);
    put_long(&mut payload, 0);
    put_string(&mut payload, "v1");
    if kind == Kind::AppVersionUpdated {
        put_string(&mut payload, "v0");
    }
    put_string(&mut payload, id);
    payload
}

pub fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    block
}

pub fn ask(responder: &mut Responder, reply: &str, payload: &[u8], ms: u64) {
    let message = Message {
        kind: Kind::Get,
        reply: reply.as_bytes(),
        headers: &[],
        payload,
    };
    responder.message(&message, false, at(ms));
}

pub fn tell(responder: &mut Responder, kind: Kind, headers: &[(&str, &str)], payload: &[u8], ms: u64) {
    hear(responder, kind, &header_block(headers), payload, ms);
}

/// The same with a whole header block.
pub fn hear(responder: &mut Responder, kind: Kind, headers: &[u8], payload: &[u8], ms: u64) {
    let message = Message {
        kind,
        reply: &[],
        headers,
        payload,
    };
    responder.message(&message, false, at(ms));
}

/// A metadata event of ours without a number.
pub fn updated(responder: &mut Responder, id: &str, version: i64, ms: u64) {
    let version = version.to_string();
    let payload = event_payload(Kind::MetadataUpdated, id);
    let headers = [("Kaa-Epr-Version", version.as_str())];
    tell(responder, Kind::MetadataUpdated, &headers, &payload, ms);
}

/// A numbered metadata event.
pub fn numbered(responder: &mut Responder, writer: &str, seq: u64, id: &str, version: i64, ms: u64) {
    let (seq, version) = (seq.to_string(), version.to_string());
    let headers = [
        ("Kaa-Epr-Writer", writer),
        ("Kaa-Epr-Seq", seq.as_str()),
        ("Kaa-Epr-Version", version.as_str()),
    ];
    let payload = event_payload(Kind::MetadataUpdated, id);
    tell(responder, Kind::MetadataUpdated, &headers, &payload, ms);
}

pub fn heartbeat(responder: &mut Responder, writer: &str, seq: u64, ms: u64) {
    let seq = seq.to_string();
    let headers = [("Kaa-Epr-Writer", writer), ("Kaa-Epr-Seq", seq.as_str())];
    tell(responder, Kind::Heartbeat, &headers, &[], ms);
}

pub fn goodbye(responder: &mut Responder, writer: &str, seq: u64, ms: u64) {
    let seq = seq.to_string();
    let headers = [
        ("Kaa-Epr-Writer", writer),
        ("Kaa-Epr-Seq", seq.as_str()),
        ("Kaa-Epr-Leaving", "1"),
    ];
    tell(responder, Kind::Heartbeat, &headers, &[], ms);
}

/// `MSG` or `HMSG` as a server writes it.
pub fn wire(sid: u64, reply: &str, headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    frame(sid, reply, &header_block(headers), payload)
}

/// The same for a subscription that is numbered as its kind, with a whole header block.
pub fn framed(kind: Kind, reply: &str, block: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(kind as u64, reply, block, payload)
}

fn frame(sid: u64, reply: &str, block: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = block.len() + payload.len();
    let space = if reply.is_empty() { "" } else { " " };
    let line = if block.is_empty() {
        format!("MSG a.subject {sid}{space}{reply} {total}\r\n")
    } else {
        format!("HMSG a.subject {sid}{space}{reply} {} {total}\r\n", block.len())
    };
    [line.as_bytes(), block, payload, b"\r\n"].concat()
}

// --- documents ----------------------------------------------------------------------------------------------

fn element(out: &mut Vec<u8>, kind: u8, name: &str, value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(value);
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as i32 + 1).to_le_bytes().to_vec();
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
    bytes
}

fn close(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as i32 + 5).to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.push(0);
    bytes
}

/// A stored endpoint whose metadata is `{"v": <value>}`.
pub fn stored(id: &str, version: i64, value: &str) -> Vec<u8> {
    let (mut metadata, mut body) = (Vec::new(), Vec::new());
    element(&mut metadata, 2, "v", &text(value));
    element(&mut body, 2, "_id", &text(id));
    element(&mut body, 3, "metadata", &close(&metadata));
    element(&mut body, 18, "version", &version.to_le_bytes());
    close(&body)
}

/// A stored endpoint whose metadata and application version show its version, and to what it was written before.
pub fn revealing(id: &str, version: i64) -> Vec<u8> {
    stamped(id, version, 0)
}

/// The same, with a stamp.
pub fn stamped(id: &str, version: i64, stamp: i64) -> Vec<u8> {
    let (mut metadata, mut body) = (Vec::new(), Vec::new());
    exact::put_content(&mut metadata, &exact::content(version, stamp));
    element(&mut body, 2, "_id", &text(id));
    element(&mut body, 3, "metadata", &close(&metadata));
    element(&mut body, 18, "version", &version.to_le_bytes());
    exact::put_app_version(&mut body, version);
    close(&body)
}

pub fn tombstone(id: &str, version: i64) -> Vec<u8> {
    let mut body = Vec::new();
    element(&mut body, 2, "_id", &text(id));
    element(&mut body, 18, "version", &version.to_le_bytes());
    element(&mut body, 9, "deleted_at", &WALL.to_le_bytes());
    close(&body)
}

/// An endpoint whose metadata is a string: unusable.
pub fn unusable(id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    element(&mut body, 2, "_id", &text(id));
    element(&mut body, 2, "metadata", &text("x"));
    close(&body)
}

/// Begins the next load, which is for `ids`.
pub fn begin(responder: &mut Responder, ids: &[&str], ms: u64) -> u64 {
    let (load, asked) = responder.begin_load(1000, at(ms)).expect("a flight is queued");
    assert_eq!(asked, ids);
    load
}

pub fn end(responder: &mut Responder, load: u64, documents: &[Vec<u8>], ms: u64) {
    let batch = documents.concat();
    assert_eq!(responder.end_load(load, &[&batch], at(ms)), Some(Vec::new()));
}

/// Gets `id` into the cache with this version.
pub fn fill(responder: &mut Responder, id: &str, version: i64, ms: u64) {
    ask(responder, "filler", &get("fill", id), ms);
    let load = begin(responder, &[id], ms);
    end(responder, load, &[stored(id, version, "filled")], ms);
    responder.clear_output();
}

// --- what comes out -----------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub reply: String,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Answer {
    pub fn decode(&self, revision: Revision) -> GetResponse<'_> {
        GetResponse::decode(revision, &self.payload).expect("is an answer of this revision")
    }

    pub fn status(&self) -> i32 {
        self.decode(Revision::Three).status
    }

    /// Version by the eTag; None without one.
    pub fn version(&self) -> Option<i64> {
        let etag = self.decode(Revision::Three).etag?;
        Some(etag.trim_matches('"').parse().unwrap())
    }
}

/// The answers made since the last call.
pub fn answers(responder: &mut Responder) -> Vec<Answer> {
    let out = responder.output().to_vec();
    responder.clear_output();
    let (mut rest, mut found) = (out.as_slice(), Vec::new());
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let line = std::str::from_utf8(&rest[..end]).unwrap().trim_end();
        let fields: Vec<&str> = line.split(' ').collect();
        let total: usize = fields.last().unwrap().parse().unwrap();
        let headers = if fields[0] == "HPUB" {
            fields[2].parse().unwrap()
        } else {
            0
        };
        let body = &rest[end..end + total];
        assert_eq!(&rest[end + total..end + total + 2], b"\r\n");
        found.push(Answer {
            reply: fields[1].to_owned(),
            headers: body[..headers].to_vec(),
            payload: body[headers..].to_vec(),
        });
        rest = &rest[end + total + 2..];
    }
    found
}

/// Reply subjects, statuses and versions of the answers made since the last call.
pub fn outcome(responder: &mut Responder) -> Vec<(String, i32, Option<i64>)> {
    let answers = answers(responder);
    answers
        .iter()
        .map(|answer| (answer.reply.clone(), answer.status(), answer.version()))
        .collect()
}

/// As `outcome`, for a single answer.
pub fn only(responder: &mut Responder) -> (i32, Option<i64>) {
    match outcome(responder).as_slice() {
        [(_, status, version)] => (*status, *version),
        other => panic!("one answer was expected, not {other:?}"),
    }
}
