//! Random documents.

use crate::Random;

/// A document of all types, made of random bytes where the type allows.
fn random_document(random: &mut Random, depth: usize) -> Vec<u8> {
    const KEYS: [&str; 9] = ["a", "b", "key", "value", "$ref", "$id", "$db", "items", "é\""];
    let mut body = Vec::new();
    for _ in 0..random.below(5) {
        let key = KEYS[random.below(KEYS.len())];
        body.extend(element(random, key, depth));
    }
    framed(&body)
}

pub(crate) fn element(random: &mut Random, key: &str, depth: usize) -> Vec<u8> {
    const KINDS: [u8; 21] = [
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11,
        0x12, 0x13, 0xFF, 0x7F,
    ];
    let mut kind = KINDS[random.below(KINDS.len())];
    if depth == 0 && matches!(kind, 0x03 | 0x04 | 0x0F) {
        kind = 0x10;
    }
    let mut fixed = |length| (0..length).map(|_| random.next() as u8).collect();
    let value: Vec<u8> = match kind {
        0x01 | 0x09 | 0x11 | 0x12 => fixed(8),
        0x07 => fixed(12),
        0x10 => fixed(4),
        0x13 => fixed(16),
        0x02 | 0x0D | 0x0E => string("a\n\u{1}\"é"),
        0x03 | 0x04 => random_document(random, depth - 1),
        0x05 => vec![3, 0, 0, 0, 4, 1, 2, 3],
        0x08 => vec![1],
        0x0B => b"^a\0mix\0".to_vec(),
        0x0C => [string("c"), fixed(12)].concat(),
        0x0F => {
            let inner = [string("f()"), random_document(random, depth - 1)].concat();
            [&(inner.len() as i32 + 4).to_le_bytes()[..], &inner].concat()
        }
        _ => Vec::new(),
    };
    [&[kind], key.as_bytes(), &[0], &value].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i32 + 1).to_le_bytes()[..], text.as_bytes(), &[0]].concat()
}

pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32 + 5).to_le_bytes()[..], body, &[0]].concat()
}

pub(crate) fn stored(random: &mut Random) -> Vec<u8> {
    let field = |kind: u8, name: &str, value: &[u8]| [&[kind], name.as_bytes(), &[0], value].concat();
    let mut pairs = Vec::new();
    for _ in 0..random.below(6) {
        let key = ["a", "b", "c\\", ""][random.below(4)];
        let pair = [field(2, "key", &string(key)), element(random, "value", 2)].concat();
        pairs.extend(field(3, "0", &framed(&pair)));
    }
    let metadata = if random.below(4) == 0 {
        field(3, "metadata", &random_document(random, 3))
    } else {
        field(4, "metadata", &framed(&pairs))
    };
    let id = field(2, "_id", &string("endpoint-1"));
    let version = field(0x12, "version", &random.next().to_le_bytes());
    let app_version = field(2, "application_version", &string("v1"));
    let extra = element(random, "extra", 2);
    framed(&[id, metadata, version, app_version, extra].concat())
}
