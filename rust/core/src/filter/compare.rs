//! The order of BSON values as MongoDB has it: by rank of their types first, then by value.

use std::cmp::Ordering;

use super::elements::{Elements, code_with_scope, kind, regex, text};
use super::number::Number;
use crate::bson::Raw;
use crate::error::DocumentError;

/// What comes before what. Types of one rank are compared with each other by value: the four of numbers, strings
/// with symbols. A missing value has the rank of undefined, [`MISSING`].
#[inline]
pub(super) const fn rank(kind: u8) -> i8 {
    match kind {
        kind::MIN_KEY => -1,
        kind::UNDEFINED => MISSING,
        kind::NULL => 5,
        kind::DOUBLE | kind::INT32 | kind::INT64 | kind::DECIMAL => 10,
        kind::STRING | kind::SYMBOL => 15,
        kind::DOCUMENT => 20,
        kind::ARRAY => 25,
        kind::BINARY => 30,
        kind::OBJECT_ID => 35,
        kind::BOOLEAN => 40,
        kind::DATE => 45,
        kind::TIMESTAMP => 47,
        kind::REGEX => 50,
        kind::DB_POINTER => 55,
        kind::CODE => 60,
        kind::CODE_WITH_SCOPE => 65,
        _ => MAX_RANK,
    }
}

/// The rank of a missing value, and of undefined.
pub(super) const MISSING: i8 = 0;
/// The rank of the greatest key.
const MAX_RANK: i8 = 127;

/// The order of two values of any types.
///
/// Goes as deep as `operand` does, which a query bounds.
pub(super) fn compare(value: Raw<'_>, operand: Raw<'_>) -> Result<Ordering, DocumentError> {
    match rank(value.kind).cmp(&rank(operand.kind)) {
        Ordering::Equal => same_rank(value, operand),
        order => Ok(order),
    }
}

/// The order of two values of one rank.
#[inline]
pub(super) fn same_rank(value: Raw<'_>, operand: Raw<'_>) -> Result<Ordering, DocumentError> {
    let (a, b) = (value.bytes, operand.bytes);
    Ok(match operand.kind {
        kind::STRING | kind::SYMBOL | kind::CODE => text(a)?.cmp(text(b)?),
        kind::DOUBLE | kind::INT32 | kind::INT64 | kind::DECIMAL => {
            match (Number::read(value)?, Number::read(operand)?) {
                (Some(a), Some(b)) => a.compare(b),
                _ => return Err(DocumentError::Malformed),
            }
        }
        kind::DOCUMENT | kind::ARRAY => documents(a, b)?,
        kind::BOOLEAN | kind::OBJECT_ID => a.cmp(b),
        kind::DATE => i64::from_le_bytes(eight(a)?).cmp(&i64::from_le_bytes(eight(b)?)),
        kind::TIMESTAMP => u64::from_le_bytes(eight(a)?).cmp(&u64::from_le_bytes(eight(b)?)),
        // By length, then subtype, then content: the four bytes of the length are the same by then.
        kind::BINARY | kind::DB_POINTER => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        kind::REGEX => regex(a)?.cmp(&regex(b)?),
        kind::CODE_WITH_SCOPE => {
            let ((a, a_scope), (b, b_scope)) = (code_with_scope(a)?, code_with_scope(b)?);
            match a.cmp(b) {
                Ordering::Equal => documents(a_scope, b_scope)?,
                order => order,
            }
        }
        _ => Ordering::Equal,
    })
}

fn eight(bytes: &[u8]) -> Result<[u8; 8], DocumentError> {
    bytes.try_into().map_err(|_| DocumentError::Malformed)
}

/// The order of two documents or arrays: element by element, each by rank, then name, then value. An array's names
/// are compared too.
fn documents(value: &[u8], operand: &[u8]) -> Result<Ordering, DocumentError> {
    let (mut values, mut operands) = (Elements::new(value)?, Elements::new(operand)?);
    loop {
        let (value, operand) = match (values.next(), operands.next()) {
            (None, None) => return Ok(Ordering::Equal),
            (None, Some(_)) => return Ok(Ordering::Less),
            (Some(_), None) => return Ok(Ordering::Greater),
            (Some(value), Some(operand)) => (value?, operand?),
        };
        let order = rank(value.value.kind)
            .cmp(&rank(operand.value.kind))
            .then_with(|| value.name.cmp(operand.name));
        let order = match order {
            Ordering::Equal => same_rank(value.value, operand.value)?,
            order => order,
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: (u8, &[u8]), b: (u8, &[u8])) -> Ordering {
        let raw = |(kind, bytes)| Raw { kind, bytes };
        compare(raw(a), raw(b)).expect("is well-formed")
    }

    #[test]
    fn ranks_come_first() {
        let string = (kind::STRING, &[2, 0, 0, 0, b'a', 0][..]);
        let symbol = (kind::SYMBOL, string.1);
        let yes = (kind::BOOLEAN, &[1][..]);
        assert_eq!(order(string, symbol), Ordering::Equal);
        assert_eq!(order((kind::INT32, &[1, 0, 0, 0]), yes), Ordering::Less);
        assert_eq!(
            order((kind::MIN_KEY, &[]), (kind::UNDEFINED, &[])),
            Ordering::Less
        );
        assert_eq!(
            order((kind::MAX_KEY, &[]), (kind::CODE_WITH_SCOPE, &[])),
            Ordering::Greater
        );
    }

    #[test]
    fn binaries_are_compared_by_length_first() {
        let binary =
            |subtype: u8, content: &[u8]| [&[content.len() as u8, 0, 0, 0, subtype], content].concat();
        let ascending = [
            binary(9, &[]),
            binary(0, &[5]),
            binary(1, &[1]),
            binary(0, &[0, 0]),
        ];
        for pair in ascending.windows(2) {
            assert_eq!(
                order((kind::BINARY, &pair[0]), (kind::BINARY, &pair[1])),
                Ordering::Less
            );
        }
    }

    #[test]
    fn timestamps_have_no_sign_and_dates_have_one() {
        let negative = (-1_i64).to_le_bytes();
        assert_eq!(
            order((kind::DATE, &negative), (kind::DATE, &[0; 8])),
            Ordering::Less
        );
        assert_eq!(
            order((kind::TIMESTAMP, &negative), (kind::TIMESTAMP, &[0; 8])),
            Ordering::Greater
        );
    }

    #[test]
    fn documents_are_compared_in_their_order() {
        let document = |elements: &[(u8, &str, &[u8])]| {
            let mut body = Vec::new();
            for (kind, name, value) in elements {
                body.push(*kind);
                body.extend(name.as_bytes());
                body.push(0);
                body.extend(*value);
            }
            [&[body.len() as u8 + 5, 0, 0, 0][..], &body, &[0]].concat()
        };
        let one: &[u8] = &[1, 0, 0, 0];
        let ascending = [
            document(&[]),
            document(&[(kind::NULL, "z", &[])]),
            document(&[(kind::INT32, "a", one)]),
            document(&[
                (kind::INT64, "a", &[1, 0, 0, 0, 0, 0, 0, 0]),
                (kind::NULL, "a", &[]),
            ]),
            document(&[(kind::INT32, "b", one)]),
        ];
        for pair in ascending.windows(2) {
            assert_eq!(
                order((kind::DOCUMENT, &pair[0]), (kind::DOCUMENT, &pair[1])),
                Ordering::Less
            );
        }
    }
}
