//! Objects with the semantics of Python's dict: a repeated key has its last value at its first place.

use super::print::Printable;
use std::ops::Range;

/// One member of an object being printed.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The key, not escaped.
    pub key: &'a str,
    /// Where the member stands in the output, from its opening quote to its value's end.
    pub range: Range<usize>,
    /// Whether its value could be printed; that of a member which is replaced later does not matter.
    pub printable: Printable,
    /// Whether the value is what Python calls a `str`.
    pub is_str: bool,
    /// Whether the value is null.
    pub is_null: bool,
}

/// The members of one object, in the order of the output.
pub type Members<'a> = [Member<'a>];

/// Up to so many members are compared with those before them that have the same tag, of which there are few; more
/// are sorted.
const TAGGED: usize = 64;

/// One of 128 bits, which equal keys have in common and most unequal ones have not.
fn tag(key: &[u8]) -> u128 {
    let first = key.first().copied().unwrap_or(0);
    let last = key.last().copied().unwrap_or(0);
    1 << (((key.len() as u8).wrapping_mul(37) ^ first.wrapping_mul(5) ^ last) & 0x7F)
}

/// Whether any key is there twice.
pub(super) fn has_duplicates(members: &Members<'_>) -> bool {
    if members.len() <= TAGGED {
        let mut tags = 0_u128;
        return members.iter().enumerate().any(|(at, one)| {
            let seen = tags;
            tags |= tag(one.key.as_bytes());
            seen == tags && members[..at].iter().any(|other| other.key == one.key)
        });
    }
    let mut keys: Vec<&str> = members.iter().map(|member| member.key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// Which member goes where when every repeated key has its last value at its first place.
pub(super) fn dict_order(members: &Members<'_>) -> Vec<usize> {
    let mut by_key: Vec<usize> = (0..members.len()).collect();
    by_key.sort_by_key(|&at| members[at].key); // stable: equal keys stay in order
    let mut last_at_first = vec![None; members.len()];
    for same in by_key.chunk_by(|&one, &other| members[one].key == members[other].key) {
        if let (Some(&first), Some(&last)) = (same.first(), same.last()) {
            last_at_first[first] = Some(last);
        }
    }
    last_at_first.into_iter().flatten().collect()
}

/// The order of fields in which PyMongo prints a document that it takes for a DBRef, or None for any other.
///
/// PyMongo decodes a sub-document with a string `$ref`, any `$id`, and a `$db` that is a string or null or
/// absent into a `DBRef` (`_dbref_hook`), whose `as_doc()` has `$ref`, `$id` and `$db` first and no null `$db`.
/// `order` has the members as a dict would hold them.
pub(super) fn dbref_order(members: &Members<'_>, order: &[usize]) -> Option<Vec<usize>> {
    let find = |key| order.iter().copied().find(|&at| members[at].key == key);
    let (reference, id) = (find("$ref")?, find("$id")?);
    let database = find("$db");
    let is_dbref =
        members[reference].is_str && database.is_none_or(|at| members[at].is_str || members[at].is_null);
    if !is_dbref {
        return None;
    }
    let head = [reference, id]
        .into_iter()
        .chain(database.filter(|&at| !members[at].is_null));
    let is_extra = |at: &usize| ![Some(reference), Some(id), database].contains(&Some(*at));
    Some(head.chain(order.iter().copied().filter(is_extra)).collect())
}

/// Whether a DBRef with these members fails to print: json_util asks it for the attributes `items` and
/// `__iter__`, and a DBRef has its extra fields as attributes.
pub(super) fn hides_a_method(members: &Members<'_>) -> bool {
    members
        .iter()
        .any(|member| matches!(member.key, "items" | "__iter__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members<'a>(keys: &[&'a str]) -> Vec<Member<'a>> {
        let member = |&key| Member {
            key,
            range: 0..0,
            printable: true,
            is_str: true,
            is_null: key == "$db",
        };
        keys.iter().map(member).collect()
    }

    #[test]
    fn repeated_keys_have_their_last_value_at_their_first_place() {
        let members = members(&["a", "b", "a", "c", "b", "a"]);
        assert!(has_duplicates(&members));
        assert_eq!(dict_order(&members), [5, 4, 3]);
    }

    #[test]
    fn duplicates_are_found_in_large_objects() {
        for count in [1, TAGGED - 1, TAGGED, TAGGED + 1, 1000] {
            let keys: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            for twice in ["0", &keys[count / 2], &keys[count - 1]] {
                let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                assert!(!has_duplicates(&members(&keys)));
                keys.push(twice);
                assert!(has_duplicates(&members(&keys)), "{twice} of {count}");
            }
        }
        assert!(!has_duplicates(&members(&["a", "b"])));
        assert!(!has_duplicates(&members(&[])));
    }

    #[test]
    fn dbrefs_are_reordered() {
        let references = members(&["x", "$db", "$id", "y", "$ref"]);
        assert_eq!(dbref_order(&references, &[0, 1, 2, 3, 4]), Some(vec![4, 2, 0, 3]));
        let mut with_database = references.clone();
        with_database[1].is_null = false;
        assert_eq!(
            dbref_order(&with_database, &[0, 1, 2, 3, 4]),
            Some(vec![4, 2, 1, 0, 3])
        );
        with_database[1].is_str = false;
        assert_eq!(dbref_order(&with_database, &[0, 1, 2, 3, 4]), None);
        assert_eq!(dbref_order(&members(&["$ref", "x"]), &[0, 1]), None);
    }
}
