//! The cache against a naive model: a list in order of use.
#![allow(clippy::unwrap_used)]

use kaa_epr_core::cache::{Bounds, Cache, Keyed, Lookup};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    id: String,
    size: usize,
    serial: u64,
}

impl Keyed for Item {
    fn id(&self) -> &str {
        &self.id
    }

    fn heap_size(&self) -> usize {
        self.size
    }
}

const SLOT: usize = Cache::<Item>::SLOT_BYTES;
const MAX_BYTES: usize = 10 * (SLOT + 40);
const MAX_AGE: u64 = 1000;

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, usize),
    Get(u8),
    Remove(u8),
    Revise(u8, usize, bool),
    Flush,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..24, 0usize..90).prop_map(|(id, size)| Op::Insert(id, size)),
        5 => (0u8..24).prop_map(Op::Get),
        2 => (0u8..24).prop_map(Op::Remove),
        3 => (0u8..24, 0usize..500, any::<bool>()).prop_map(|(id, size, fits)| Op::Revise(id, size, fits)),
        1 => Just(Op::Flush),
        1 => (0u64..1500).prop_map(Op::Pass),
    ]
}

/// Most recently used last: the item, its epoch, and when it was stored.
#[derive(Default)]
struct Model(Vec<(Item, u32, u64)>);

impl Model {
    fn bytes(&self) -> usize {
        self.0.iter().map(|(item, ..)| item.size + SLOT).sum()
    }

    /// `live`: whether the cache had it, which is its own choice in the last tenth of an age.
    fn revise(&mut self, item: Item, fits: bool, epoch: u32, now: u64, live: bool) -> Option<u64> {
        let at = self.0.iter().position(|(known, ..)| known.id == item.id)?;
        let (_, stored_epoch, stored) = &self.0[at];
        let young = now < stored + MAX_AGE - MAX_AGE / 10 || (now < stored + MAX_AGE && live);
        if *stored_epoch != epoch || !young || !fits {
            self.0.remove(at);
            return None;
        }
        self.0[at].0 = item;
        let mut evicted = 0;
        while self.bytes() > MAX_BYTES {
            evicted += u64::from(self.0.remove(0).1 == epoch);
        }
        Some(evicted)
    }

    fn take(&mut self, id: &str) -> Option<(Item, u32, u64)> {
        let at = self.0.iter().position(|(item, ..)| item.id == id)?;
        Some(self.0.remove(at))
    }
}

proptest! {
    #[test]
    fn behaves_as_a_list_in_order_of_use(ops in prop::collection::vec(op(), 0..300), seed in any::<u64>()) {
        let mut cache = Cache::new(Bounds { max_bytes: MAX_BYTES, max_age_ms: MAX_AGE }, seed);
        let (mut model, mut epoch, mut now, mut serial) = (Model::default(), 1, 0, 0);
        for op in ops {
            serial += 1;
            match op {
                Op::Insert(id, size) => {
                    let item = Item { id: format!("ep-{id}"), size, serial };
                    model.take(&item.id);
                    let mut evicted = 0;
                    while model.bytes() + size + SLOT > MAX_BYTES {
                        evicted += u64::from(model.0.remove(0).1 == epoch);
                    }
                    model.0.push((item.clone(), epoch, now));
                    prop_assert_eq!(cache.insert(item, epoch, now), Ok(evicted));
                }
                Op::Get(id) => {
                    let id = format!("ep-{id}");
                    let known = model.take(&id);
                    match (cache.get(&id, epoch, now), known) {
                        (Lookup::Hit(found), Some((item, stored_epoch, stored))) => {
                            prop_assert_eq!(found, &item);
                            prop_assert_eq!(stored_epoch, epoch);
                            prop_assert!(now < stored + MAX_AGE);
                            model.0.push((item, stored_epoch, stored));
                        }
                        (Lookup::Expired, Some((_, stored_epoch, stored))) => {
                            prop_assert_eq!(stored_epoch, epoch);
                            prop_assert!(now >= stored + MAX_AGE - MAX_AGE / 10);
                        }
                        (Lookup::Absent, known) => {
                            prop_assert!(known.is_none_or(|(_, stored_epoch, _)| stored_epoch != epoch));
                        }
                        (got, known) => prop_assert!(false, "{got:?} but the model has {known:?}"),
                    }
                }
                Op::Remove(id) => {
                    let id = format!("ep-{id}");
                    prop_assert_eq!(cache.remove(&id), model.take(&id).is_some());
                }
                Op::Revise(id, size, fits) => {
                    let id = format!("ep-{id}");
                    let item = Item { id: id.clone(), size, serial };
                    let revised = cache.revise(&id, epoch, now, |_| fits.then(|| item.clone()));
                    prop_assert_eq!(revised, model.revise(item, fits, epoch, now, revised.is_some()));
                }
                Op::Flush => epoch += 1,
                Op::Pass(ms) => now += ms,
            }
            prop_assert_eq!(cache.bytes(), model.bytes());
            prop_assert_eq!(cache.len(), model.0.len());
            prop_assert!(cache.bytes() <= MAX_BYTES);
        }
    }
}

#[test]
fn what_is_larger_than_the_bound_is_given_back_and_the_rest_stays() {
    let mut cache = Cache::new(
        Bounds {
            max_bytes: MAX_BYTES,
            max_age_ms: MAX_AGE,
        },
        7,
    );
    let small = Item {
        id: "small".into(),
        size: 1,
        serial: 1,
    };
    let large = Item {
        id: "large".into(),
        size: MAX_BYTES,
        serial: 2,
    };
    assert_eq!(cache.insert(small, 1, 0), Ok(0));
    assert_eq!(cache.insert(large.clone(), 1, 0), Err(large));
    assert!(matches!(cache.get("small", 1, 0), Lookup::Hit(_)));
    assert_eq!(cache.len(), 1);
}

#[test]
fn an_older_version_that_is_now_too_large_is_gone() {
    let mut cache = Cache::new(
        Bounds {
            max_bytes: MAX_BYTES,
            max_age_ms: MAX_AGE,
        },
        7,
    );
    assert_eq!(
        cache.insert(
            Item {
                id: "a".into(),
                size: 1,
                serial: 1
            },
            1,
            0
        ),
        Ok(0)
    );
    assert!(
        cache
            .insert(
                Item {
                    id: "a".into(),
                    size: MAX_BYTES,
                    serial: 2
                },
                1,
                0
            )
            .is_err()
    );
    assert_eq!(cache.get("a", 1, 0), Lookup::Absent);
}
