//! Random queries of filters, most of them accepted.

use crate::Random;
use crate::made::{element, framed, string};

/// A query with an operator or more on a field, or several beside each other.
pub(crate) fn query(random: &mut Random, depth: usize) -> Vec<u8> {
    const NAMES: [&str; 6] = [
        "metadata",
        "metadata.value",
        "metadata.0.a",
        "_id",
        "application_version",
        "key",
    ];
    const LOGICAL: [&str; 3] = ["$and", "$or", "$nor"];
    let mut body = Vec::new();
    for _ in 0..=random.below(2) {
        let (kind, name, value) = match random.below(4) {
            0 if depth > 0 => {
                let inner = [&[3, b'0', 0][..], &query(random, depth - 1)].concat();
                (4, LOGICAL[random.below(3)], framed(&inner))
            }
            1 if depth > 0 => {
                let inner = [&[3], &b"$elemMatch\0"[..], &query(random, depth - 1)].concat();
                (3, NAMES[random.below(NAMES.len())], framed(&inner))
            }
            _ => (3, NAMES[random.below(NAMES.len())], operators(random)),
        };
        body.extend([&[kind], name.as_bytes(), &[0], &value].concat());
    }
    framed(&body)
}

fn operators(random: &mut Random) -> Vec<u8> {
    const OPERATORS: [&str; 10] = [
        "$eq", "$gt", "$lte", "$ne", "$in", "$all", "$not", "$type", "$size", "$exists",
    ];
    let regex = |text: &str| [&[2], &b"$regex\0"[..], &string(text)].concat();
    framed(&match random.below(4) {
        0 => regex(["^a.*b$", "[^a-c]{2,5}", "(?i)k|\\d", "(?m)^a$"][random.below(4)]),
        _ => {
            let operator = OPERATORS[random.below(OPERATORS.len())];
            element(random, operator, 2)
        }
    })
}
