//! RFC 6902, section 4.6: numbers by value, objects without regard to order, booleans are no numbers.

use super::node::Node;
use super::open::{Content, Open};
use super::work::{COMPARED, Halt, Meter, of_bytes};
use crate::bson::{Raw, Value, write::kind};

/// The deprecated forms of null and of a string, which clients read as these.
const UNDEFINED: u8 = 0x06;
const SYMBOL: u8 = 0x0E;

/// Whether two values are equal. Recurses as deep as the less deep one is.
pub(super) fn equal(left: &Node<'_>, right: &Node<'_>, seed: u64, meter: &mut Meter) -> Result<bool, Halt> {
    meter.charge(COMPARED)?;
    let (left_kind, right_kind) = (known_as(left.kind()), known_as(right.kind()));
    if left_kind != right_kind {
        return Ok(false);
    }
    if matches!(left_kind, kind::DOCUMENT | kind::ARRAY) {
        return with_open(left, seed, meter, &mut |left, meter| {
            with_open(right, seed, meter, &mut |right, meter| {
                equal_inside(left, right, seed, meter)
            })
        });
    }
    match (left, right) {
        (Node::Raw { value: left, .. }, Node::Raw { value: right, .. }) => equal_plain(*left, *right, meter),
        _ => Err(Halt::Bug),
    }
}

/// One type for those that compare as one.
const fn known_as(kind: u8) -> u8 {
    match kind {
        kind::INT64 | kind::DOUBLE => kind::INT32,
        UNDEFINED => kind::NULL,
        SYMBOL => kind::STRING,
        _ => kind,
    }
}

/// Does something with an array or object taken apart, be it only for that.
fn with_open<'v>(
    node: &Node<'v>,
    seed: u64,
    meter: &mut Meter,
    then: &mut dyn FnMut(&Open<'v>, &mut Meter) -> Result<bool, Halt>,
) -> Result<bool, Halt> {
    match node {
        Node::Open(open) => then(open, meter),
        Node::Raw { value, .. } => then(&Open::of(*value, seed, meter)?, meter),
    }
}

fn equal_inside(left: &Open<'_>, right: &Open<'_>, seed: u64, meter: &mut Meter) -> Result<bool, Halt> {
    if left.len() != right.len() {
        return Ok(false);
    }
    match (&left.content, &right.content) {
        (Content::Object(left), Content::Object(right)) => {
            for (name, node) in left.iter() {
                let Some(other) = right.get(name) else {
                    return Ok(false);
                };
                if !equal(node, other, seed, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Content::Array(left), Content::Array(right)) => {
            for (node, other) in left.iter().zip(right) {
                if !equal(node, other, seed, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn equal_plain(left: Raw<'_>, right: Raw<'_>, meter: &mut Meter) -> Result<bool, Halt> {
    if known_as(left.kind) == kind::INT32 {
        return match (number(left), number(right)) {
            (Some(left), Some(right)) => Ok(left.equals(right)),
            _ => Err(Halt::Bug),
        };
    }
    if left.bytes.len() != right.bytes.len() {
        return Ok(false);
    }
    meter.charge(of_bytes(left.bytes.len()))?;
    Ok(left.bytes == right.bytes)
}

#[derive(Clone, Copy)]
enum Number {
    Integer(i64),
    Double(f64),
}

fn number(value: Raw<'_>) -> Option<Number> {
    match value.value() {
        Ok(Value::Int32(value)) => Some(Number::Integer(value.into())),
        Ok(Value::Int64(value)) => Some(Number::Integer(value)),
        Ok(Value::Double(value)) => Some(Number::Double(value)),
        _ => None,
    }
}

impl Number {
    #[allow(clippy::float_cmp)] // equality is what is asked for
    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Double(left), Self::Double(right)) => left == right,
            (Self::Integer(integer), Self::Double(double))
            | (Self::Double(double), Self::Integer(integer)) => is_integer(double, integer),
        }
    }
}

/// Whether a double is exactly this integer, which it may be unable to hold.
fn is_integer(double: f64, integer: i64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let in_range = (-END..END).contains(&double) && double.fract() == 0.0;
    in_range && double as i64 == integer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_are_compared_exactly() {
        let large = (1_i64 << 53) + 1;
        assert!(is_integer(-0.0, 0) && is_integer(1.0, 1) && is_integer(-(2_f64.powi(63)), i64::MIN));
        assert!(!is_integer(1.5, 1) && !is_integer(f64::NAN, 0) && !is_integer(f64::INFINITY, i64::MAX));
        assert!(!is_integer(large as f64, large) && !is_integer(2_f64.powi(63), i64::MAX));
    }
}
