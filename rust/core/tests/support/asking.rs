//! What is asked for, and what versions an answer tells of: gets, keys gets, application versions of two endpoints.

use kaa_epr_core::avro::{Block, Reader, put_long, put_string};
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::Responder;

use crate::support::{Answer, WALL, at, get};

/// What a request asks for; endpoints by their place among `ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Metadata(usize),
    Keys(usize),
    AppVersions,
}

impl Asked {
    /// Sends it.
    pub fn send(self, responder: &mut Responder, ids: [&str; 2], reply: &str, ms: u64) {
        let mut payload = Vec::new();
        put_string(&mut payload, "c");
        put_long(&mut payload, WALL);
        put_long(&mut payload, 0);
        let kind = match self {
            Self::Metadata(endpoint) => {
                payload = get("c", ids[endpoint]);
                Kind::Get
            }
            Self::Keys(endpoint) => {
                put_string(&mut payload, ids[endpoint]);
                Kind::KeysGet
            }
            Self::AppVersions => {
                put_long(&mut payload, 2);
                ids.iter().for_each(|id| put_string(&mut payload, id));
                put_long(&mut payload, 0);
                Kind::AppVersions
            }
        };
        let message = Message {
            kind,
            reply: reply.as_bytes(),
            headers: &[],
            payload: &payload,
        };
        responder.message(&message, false, at(ms));
    }

    /// The status of an answer, and the version of each endpoint that it tells of; 0: unknown.
    pub fn read(self, answer: &Answer, ids: [&str; 2]) -> (i32, Vec<(usize, i64)>) {
        if let Self::Metadata(endpoint) = self {
            return (answer.status(), vec![(endpoint, answer.version().unwrap_or(0))]);
        }
        let mut reader = Reader::new(&answer.payload);
        reader.string().expect("correlationId");
        reader.long().expect("timestamp");
        reader.long().expect("timeout");
        let mut versions = Vec::new();
        match self {
            Self::Keys(endpoint) => {
                reader.string().expect("endpointId");
                let keys = strings(&mut reader);
                versions.push((endpoint, keys.first().map_or(0, number)));
            }
            _ => {
                assert_eq!(strings(&mut reader), ids);
                let groups = groups(&mut reader);
                for (place, id) in ids.iter().enumerate() {
                    let group = groups.iter().find(|(_, members)| members.contains(id));
                    versions.push((place, group.map_or(0, |(version, _)| number(version))));
                }
            }
        }
        (reader.int().expect("statusCode"), versions)
    }
}

fn number(text: &&str) -> i64 {
    text.parse().expect("a version")
}

fn strings<'a>(reader: &mut Reader<'a>) -> Vec<&'a str> {
    let mut strings = Vec::new();
    while let Block::Items(items) = reader.block().expect("a block") {
        strings.extend((0..items).map(|_| reader.string().expect("a string")));
    }
    strings
}

fn groups<'a>(reader: &mut Reader<'a>) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut groups = Vec::new();
    while let Block::Items(items) = reader.block().expect("a block") {
        for _ in 0..items {
            groups.push((reader.string().expect("a version"), strings(reader)));
        }
    }
    groups
}
