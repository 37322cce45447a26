//! Random patches, most of whose operations fit.

use crate::Random;
use crate::made::{element, framed, string};

/// Metadata of a few values, and the document with a patch of it.
pub(crate) fn patched(random: &mut Random) -> Vec<u8> {
    const KEYS: [&str; 3] = ["a", "b", "$id"];
    let metadata: Vec<u8> = KEYS.iter().flat_map(|key| element(random, key, 3)).collect();
    let mut operations = Vec::new();
    for index in 0..random.below(9) {
        operations.extend([&[3], index.to_string().as_bytes(), &[0], &operation(random)[..]].concat());
    }
    let patch = [&[4, 0][..], &framed(&operations)].concat();
    [framed(&metadata), framed(&patch)].concat()
}

fn operation(random: &mut Random) -> Vec<u8> {
    const OPS: [&str; 7] = ["add", "add", "copy", "move", "replace", "remove", "test"];
    let text = |name: &str, text: &str| [&[2], name.as_bytes(), &[0], &string(text)[..]].concat();
    let members = [
        text("op", OPS[random.below(OPS.len())]),
        text("path", &pointer(random)),
        text("from", &pointer(random)),
        element(random, "value", 2),
    ];
    framed(&members.concat())
}

fn pointer(random: &mut Random) -> String {
    const PARTS: [&str; 9] = ["/a", "/b", "/$id", "/0", "/1", "/-", "/key", "/a~1b", "/"];
    (0..random.below(4))
        .map(|_| PARTS[random.below(PARTS.len())])
        .collect()
}
