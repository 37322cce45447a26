//! What is asked for, and what versions an answer tells of: gets, keys gets, application versions of two endpoints.

use kaa_epr_core::avro::{Block, Reader, put_long, put_string};
use kaa_epr_core::epmmp::Revision;
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::Responder;

use crate::support::exact::{content, json, stamp};
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

    /// The status of an answer, and the version of each endpoint that it tells of; 0: unknown. An error if what it
    /// holds is not what that version is made of.
    pub fn read(self, answer: &Answer, ids: [&str; 2]) -> Result<(i32, Vec<(usize, i64)>), String> {
        if let Self::Metadata(endpoint) = self {
            return Ok((answer.status(), vec![(endpoint, revealed(answer)?)]));
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
                let version = keys.last().map_or(0, number);
                let content = content(version, 0);
                if version > 0 && !keys.iter().eq(content.iter().map(|(key, _)| key)) {
                    return Err(format!("{keys:?} are not the keys of version {version}"));
                }
                versions.push((endpoint, version));
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
        Ok((reader.int().expect("statusCode"), versions))
    }
}

/// The version in the eTag, if metadata and application version are that version's.
fn revealed(answer: &Answer) -> Result<i64, String> {
    let decoded = answer.decode(Revision::Three);
    let (Some(version), Some(payload)) = (answer.version(), decoded.payload) else {
        return Ok(0);
    };
    let found = String::from_utf8(payload.to_vec()).expect("JSON is UTF-8");
    let expected = json(&content(version, stamp(&found)));
    let app_version = version.to_string();
    if found != expected || decoded.app_version != Some(&app_version) {
        return Err(format!(
            "version {version} is {expected}, not {found} of {:?}",
            decoded.app_version
        ));
    }
    Ok(version)
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
