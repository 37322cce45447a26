//! What can be asked and what must come back, laid out so that one get touches little memory: the encoded end
//! of each request in one buffer, and a 64-bit hash of each expected payload.

use std::hash::BuildHasher as _;

use anyhow::{Result, bail};
use foldhash::fast::FixedState;

use crate::args::RunArgs;
use crate::dataset::{self, Endpoint};
use crate::wire::{Reader, put_bytes, put_long};

/// Where a target's request tail lies, and the hash of the payload it must be answered with.
struct Target {
    start: u32,
    end: u32,
    hash: u64,
}

/// All endpoints of a run: the known ones first, then the unknown.
pub struct Targets {
    tails: Vec<u8>,
    targets: Vec<Target>,
    known: u32,
    hasher: FixedState,
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
        };
        match &args.endpoints_file {
            Some(path) => dataset::read_file(path, |endpoint| all.add(&endpoint, args))?,
            None => {
                for index in 0..u64::from(args.dataset.endpoints) {
                    all.add(&dataset::endpoint(&args.dataset, index), args);
                }
            }
        }
        all.known = all.targets.len() as u32;
        if args.unknown_share > 0.0 {
            for index in 0..u64::from(args.unknown_endpoints) {
                let id = dataset::id(!args.dataset.seed, index);
                all.add(
                    &Endpoint {
                        id,
                        metadata: Vec::new(),
                    },
                    args,
                );
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

    /// Whether `payload` is what this target's answer must hold.
    pub fn payload_matches(&self, target: u32, payload: &[u8]) -> bool {
        self.hasher.hash_one(payload) == self.targets[target as usize].hash
    }

    fn add(&mut self, endpoint: &Endpoint, args: &RunArgs) {
        let asked = included(endpoint.metadata.len(), args.include as usize, self.targets.len());
        let start = self.tails.len() as u32;
        put_bytes(&mut self.tails, endpoint.id.as_bytes());
        if !asked.is_empty() {
            put_long(&mut self.tails, asked.len() as i64);
            for &field in &asked {
                put_bytes(&mut self.tails, endpoint.metadata[field].0.as_bytes());
            }
        }
        put_long(&mut self.tails, 0); // end of the array
        if args.revision == 3 {
            self.tails.push(1); // includeMetadata: true
        }
        let hash = self.hasher.hash_one(expected(endpoint, &asked).as_slice());
        self.targets.push(Target {
            start,
            end: self.tails.len() as u32,
            hash,
        });
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
