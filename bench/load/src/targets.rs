//! What can be asked and what must come back, laid out so that one get touches little memory: the encoded end
//! of each request in one buffer, and 64-bit hashes of what its answer must hold. The hashes travel with the
//! get, so that an answer is judged without going back to tables that have left the processor's caches.

use std::hash::BuildHasher as _;
use std::time::Instant;

use anyhow::{Result, bail};
use foldhash::fast::FixedState;

use crate::args::RunArgs;
use crate::book::Get;
use crate::changes::Changes;
use crate::dataset::{self, Endpoint, VERSION};
use crate::wire::{Reader, put_bytes, put_long};

/// What the answer to a get must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The least version that it may claim; set when the get is sent.
    pub least: i64,
    /// Hash of the endpoint id.
    id: u64,
    /// Hash of the metadata; `None`: the endpoint is unknown and has none.
    payload: Option<u64>,
}

impl Expected {
    /// Status of the answer.
    pub fn status(self) -> u16 {
        if self.payload.is_some() { 200 } else { 404 }
    }
}

/// Where a target's request tail lies, and what it must be answered with.
struct Target {
    start: u32,
    end: u32,
    expected: Expected,
}

/// All endpoints of a run: the known ones first, then the unknown.
pub struct Targets {
    tails: Vec<u8>,
    targets: Vec<Target>,
    known: u32,
    hasher: FixedState,
    changes: Option<Changes>,
}

impl Targets {
    /// The endpoints of the file or of the seed, and as many unknown ones as the run wants.
    pub fn new(args: &RunArgs) -> Result<Self> {
        let hasher = FixedState::with_seed(args.dataset.seed);
        let mut all = Self {
            tails: Vec::new(),
            targets: Vec::new(),
            known: 0,
            hasher,
            changes: args.changes().map(Changes::new),
        };
        match &args.endpoints_file {
            Some(path) => dataset::read_file(path, |endpoint| all.add_known(&endpoint, args))?,
            None => {
                for index in 0..u64::from(args.dataset.endpoints) {
                    all.add_known(&dataset::endpoint(&args.dataset, index), args)?;
                }
            }
        }
        all.known = all.targets.len() as u32;
        if args.unknown_share > 0.0 {
            for index in 0..u64::from(args.unknown_endpoints) {
                let id = dataset::id(!args.dataset.seed, index);
                all.add(&id, &[], args.revision, None);
            }
        }
        if all.known == 0 || u32::try_from(all.tails.len()).is_err() {
            bail!("there must be endpoints, and their requests must stay below 4 GiB");
        }
        Ok(all)
    }

    /// How many endpoints exist; targets from here on are unknown to the responder.
    pub fn known(&self) -> u32 {
        self.known
    }

    /// Known and unknown endpoints.
    pub fn len(&self) -> u32 {
        self.targets.len() as u32
    }

    /// The request of a target from `endpointId` on.
    pub fn tail(&self, target: u32) -> &[u8] {
        let at = &self.targets[target as usize];
        &self.tails[at.start as usize..at.end as usize]
    }

    /// The endpoint id of a target.
    pub fn id(&self, target: u32) -> &[u8] {
        Reader(self.tail(target)).bytes().unwrap_or_default()
    }

    /// The changes that a register tells of, if one does.
    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_ref()
    }

    /// A get of a target, due at `origin`.
    pub fn get(&self, target: u32, origin: Instant) -> Get {
        let expected = self.targets[target as usize].expected;
        Get {
            target,
            expected,
            origin,
        }
    }

    /// Whether an answer's endpoint id is the one asked for.
    pub fn id_matches(&self, expected: Expected, id: &[u8]) -> bool {
        self.hasher.hash_one(id) == expected.id
    }

    /// Whether an answer's payload is the one it must hold.
    pub fn payload_matches(&self, expected: Expected, payload: Option<&[u8]>) -> bool {
        payload.map(|bytes| self.hasher.hash_one(bytes)) == expected.payload
    }

    fn add_known(&mut self, endpoint: &Endpoint, args: &RunArgs) -> Result<()> {
        let asked = included(endpoint.metadata.len(), args.include as usize, self.targets.len());
        let keys: Vec<&str> = asked
            .iter()
            .map(|&field| endpoint.metadata[field].0.as_str())
            .collect();
        self.add(
            &endpoint.id,
            &keys,
            args.revision,
            Some(&expected(endpoint, &asked)),
        );
        self.changes
            .as_mut()
            .map_or(Ok(()), |changes| changes.add(endpoint, &asked))
    }

    /// Adds an endpoint with what a get of it names and what the answer must hold.
    fn add(&mut self, id: &str, include: &[&str], revision: u8, payload: Option<&[u8]>) {
        let start = self.tails.len() as u32;
        put_bytes(&mut self.tails, id.as_bytes());
        if !include.is_empty() {
            put_long(&mut self.tails, include.len() as i64);
            for key in include {
                put_bytes(&mut self.tails, key.as_bytes());
            }
        }
        put_long(&mut self.tails, 0); // end of the array
        if revision == 3 {
            self.tails.push(1); // includeMetadata: true
        }
        let expected = Expected {
            least: VERSION,
            id: self.hasher.hash_one(id.as_bytes()),
            payload: payload.map(|bytes| self.hasher.hash_one(bytes)),
        };
        let end = self.tails.len() as u32;
        self.targets.push(Target { start, end, expected });
    }
}

/// Which `count` of `fields` fields the get of endpoint `index` names: spread over the document and different
/// from endpoint to endpoint. Empty: all.
fn included(fields: usize, count: usize, index: usize) -> Vec<usize> {
    let count = count.min(fields);
    (0..count)
        .map(|number| (index + number * fields / count) % fields)
        .collect()
}

/// The JSON that a get of these fields must be answered with.
fn expected(endpoint: &Endpoint, asked: &[usize]) -> Vec<u8> {
    let mut json = vec![b'{'];
    for (number, (key, value)) in endpoint.metadata.iter().enumerate() {
        if asked.is_empty() || asked.contains(&number) {
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend_from_slice(serde_json::Value::from(key.as_str()).to_string().as_bytes());
            json.push(b':');
            json.extend_from_slice(value.as_bytes());
        }
    }
    json.push(b'}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_fields_are_distinct_and_as_many_as_asked() {
        for index in 0..20 {
            let mut asked = included(10, 3, index);
            asked.sort_unstable();
            asked.dedup();
            assert_eq!(asked.len(), 3);
        }
        assert_eq!(included(10, 0, 5), Vec::<usize>::new());
    }

    #[test]
    fn expected_keeps_the_stored_order() {
        let metadata = ["a", "b", "c"]
            .map(|key| (key.to_owned(), "1".to_owned()))
            .to_vec();
        let endpoint = Endpoint {
            id: String::new(),
            metadata,
        };
        assert_eq!(expected(&endpoint, &[2, 0]), br#"{"a":1,"c":1}"#);
        assert_eq!(expected(&endpoint, &[]), br#"{"a":1,"b":1,"c":1}"#);
    }
}
