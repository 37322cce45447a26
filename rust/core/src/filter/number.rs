//! Numbers of four types compared by their exact values, as mongod compares them: an int64 beside a double beside a
//! Decimal128 is never rounded.

use std::cmp::Ordering;

use super::elements::kind;
use super::wide::Wide;
use crate::bson::{Decimal, Raw};
use crate::error::DocumentError;

/// A number of any type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// int32 and int64.
    Integer(i64),
    Double(f64),
    Decimal(Decimal),
}

impl Number {
    /// The number that `raw` is; None if it is none.
    #[inline]
    pub(super) fn read(raw: Raw<'_>) -> Result<Option<Self>, DocumentError> {
        fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DocumentError> {
            bytes.try_into().map_err(|_| DocumentError::Malformed)
        }
        Ok(Some(match raw.kind {
            kind::INT32 => Self::Integer(i32::from_le_bytes(fixed(raw.bytes)?).into()),
            kind::INT64 => Self::Integer(i64::from_le_bytes(fixed(raw.bytes)?)),
            kind::DOUBLE => Self::Double(f64::from_le_bytes(fixed(raw.bytes)?)),
            kind::DECIMAL => Self::Decimal(Decimal::from_bits(u128::from_le_bytes(fixed(raw.bytes)?))),
            _ => return Ok(None),
        }))
    }

    pub(super) const fn is_nan(self) -> bool {
        match self {
            Self::Integer(_) => false,
            Self::Double(value) => value.is_nan(),
            Self::Decimal(value) => matches!(value, Decimal::NotANumber),
        }
    }

    /// The number without its fraction; None for what is beyond 64 bits, infinite or not a number.
    pub(super) fn truncated(self) -> Option<i64> {
        /// 2^63, the first double beyond 64 bits.
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        match self {
            Self::Integer(value) => Some(value),
            Self::Double(value) => (-BEYOND..BEYOND)
                .contains(&value.trunc())
                .then_some(value.trunc() as i64),
            Self::Decimal(value) => value.truncated(),
        }
    }

    /// The number, if it is an integer of 64 bits.
    pub(super) fn as_integer(self) -> Option<i64> {
        let integer = self.truncated()?;
        (self.compare(Self::Integer(integer)) == Ordering::Equal).then_some(integer)
    }

    /// By value. Not a number equals itself and comes before all others; zeros are equal whatever their signs.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (Self::Double(a), Self::Double(b)) => doubles(a, b),
            (Self::Integer(a), Self::Double(b)) => integer_and_double(a, b),
            (Self::Double(a), Self::Integer(b)) => integer_and_double(b, a).reverse(),
            (Self::Decimal(a), Self::Decimal(b)) => by_sign(Parts::decimal(a), Parts::decimal(b)),
            (Self::Decimal(a), Self::Double(b)) => by_sign(Parts::decimal(a), Parts::double(b)),
            (Self::Double(a), Self::Decimal(b)) => by_sign(Parts::double(a), Parts::decimal(b)),
            (Self::Decimal(a), Self::Integer(b)) => by_sign(Parts::decimal(a), Parts::integer(b)),
            (Self::Integer(a), Self::Decimal(b)) => by_sign(Parts::integer(a), Parts::decimal(b)),
        }
    }
}

fn doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

fn integer_and_double(a: i64, b: f64) -> Ordering {
    /// 2^53, up to which all integers are doubles.
    const PRECISE: i64 = 1 << 53;
    /// 2^63, the first double beyond 64 bits.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        Ordering::Greater
    } else if (-PRECISE..=PRECISE).contains(&a) {
        doubles(a as f64, b)
    } else if b >= BEYOND {
        Ordering::Less
    } else if b < -BEYOND {
        Ordering::Greater
    } else {
        // A double with a fraction is nearer to zero than `a`, with or without it.
        a.cmp(&(b as i64))
    }
}

/// A number taken apart: `magnitude` is 0 for zero, else `factor` × 10^`ten` × 2^`two`.
#[derive(Clone, Copy)]
enum Parts {
    NotANumber,
    Infinite {
        negative: bool,
    },
    Finite {
        negative: bool,
        factor: u128,
        ten: i32,
        two: i32,
    },
}

impl Parts {
    const fn integer(value: i64) -> Self {
        Self::Finite {
            negative: value < 0,
            factor: value.unsigned_abs() as u128,
            ten: 0,
            two: 0,
        }
    }

    const fn double(value: f64) -> Self {
        let bits = value.to_bits();
        let negative = bits >> 63 == 1;
        let exponent = (bits >> 52) as i32 & 0x7FF;
        let fraction = bits & ((1 << 52) - 1);
        match exponent {
            0x7FF if fraction == 0 => Self::Infinite { negative },
            0x7FF => Self::NotANumber,
            _ => {
                let implied = if exponent == 0 { 0 } else { 1 << 52 };
                let two = if exponent == 0 { -1074 } else { exponent - 1075 };
                Self::Finite {
                    negative,
                    factor: (fraction | implied) as u128,
                    ten: 0,
                    two,
                }
            }
        }
    }

    const fn decimal(value: Decimal) -> Self {
        match value {
            Decimal::NotANumber => Self::NotANumber,
            Decimal::Infinite { negative } => Self::Infinite { negative },
            Decimal::Finite {
                negative,
                coefficient,
                exponent,
            } => Self::Finite {
                negative,
                factor: coefficient,
                ten: exponent,
                two: 0,
            },
        }
    }

    /// -1, 0 or 1; 0 for what is not a number too.
    const fn sign(self) -> i32 {
        match self {
            Self::NotANumber | Self::Finite { factor: 0, .. } => 0,
            Self::Infinite { negative } | Self::Finite { negative, .. } => {
                if negative {
                    -1
                } else {
                    1
                }
            }
        }
    }
}

fn by_sign(a: Parts, b: Parts) -> Ordering {
    let nan = |parts| matches!(parts, Parts::NotANumber);
    if nan(a) || nan(b) {
        return nan(b).cmp(&nan(a));
    }
    let order = a.sign().cmp(&b.sign());
    if order != Ordering::Equal || a.sign() == 0 {
        return order;
    }
    let magnitudes = magnitudes(a, b);
    if a.sign() < 0 {
        magnitudes.reverse()
    } else {
        magnitudes
    }
}

/// Compares the absolute values of two numbers that are not zero.
fn magnitudes(a: Parts, b: Parts) -> Ordering {
    let infinite = |parts| matches!(parts, Parts::Infinite { .. });
    let (
        Parts::Finite {
            factor: a,
            ten: a_ten,
            two: a_two,
            ..
        },
        Parts::Finite {
            factor: b,
            ten: b_ten,
            two: b_two,
            ..
        },
    ) = (a, b)
    else {
        return infinite(a).cmp(&infinite(b));
    };
    // Bits behind which both numbers are the same size: beyond that no long arithmetic is needed, or possible.
    let order = size(a, a_ten, a_two) - size(b, b_ten, b_two);
    if order.abs() > 2.0 {
        return order.total_cmp(&0.0);
    }
    let ten = a_ten.min(b_ten);
    let two = (a_two + a_ten).min(b_two + b_ten);
    let long = |factor, own_ten: i32, own_two: i32| {
        Wide::from(factor)
            .times_five_to(own_ten.abs_diff(ten))
            .shifted((own_two + own_ten).abs_diff(two))
    };
    long(a, a_ten, a_two).cmp(&long(b, b_ten, b_two))
}

/// The binary logarithm of a number that is not zero, within 0.1.
fn size(factor: u128, ten: i32, two: i32) -> f64 {
    (factor as f64).log2() + f64::from(ten) * std::f64::consts::LOG2_10 + f64::from(two)
}

#[cfg(test)]
mod tests;
