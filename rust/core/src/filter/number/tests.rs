//! Numbers of all types beside each other.

use super::*;

/// `coefficient` × 10^`exponent`.
fn decimal(coefficient: i128, exponent: i32) -> Number {
    Number::Decimal(Decimal::Finite {
        negative: coefficient < 0,
        coefficient: coefficient.unsigned_abs(),
        exponent,
    })
}

/// Each less than the next.
fn ascending(numbers: &[Number]) {
    for (at, &a) in numbers.iter().enumerate() {
        for (other, &b) in numbers.iter().enumerate() {
            assert_eq!(a.compare(b), at.cmp(&other), "{a:?} and {b:?}");
        }
    }
}

#[test]
fn types_are_compared_without_rounding() {
    ascending(&[
        Number::Double(f64::NAN),
        Number::Double(f64::NEG_INFINITY),
        decimal(-1, 6111),
        Number::Double(f64::MIN),
        Number::Integer(i64::MIN),
        Number::Integer(-(1 << 53) - 1),
        Number::Double(-9_007_199_254_740_992.0),
        decimal(-5, -1),
        decimal(-1, -6176),
        Number::Integer(0),
        decimal(1, -6176),
        Number::Double(5e-324),
        // 0.1 as a decimal is less than 0.1 as a double.
        decimal(1, -1),
        Number::Double(0.1),
        decimal(100_000_000_000_000_005_551_115_123_125_783, -33),
        decimal(15, -1),
        Number::Integer(2),
        Number::Double(9_007_199_254_740_992.0),
        Number::Integer((1 << 53) + 1),
        decimal(90_071_992_547_409_935, -1),
        Number::Integer(i64::MAX),
        Number::Double(9_223_372_036_854_775_808.0),
        decimal(9_223_372_036_854_775_809, 0),
        Number::Double(f64::MAX),
        decimal(1, 6111),
        Number::Decimal(Decimal::Infinite { negative: false }),
    ]);
}

#[test]
fn equal_values_are_equal_in_every_type() {
    for same in [
        &[
            Number::Integer(0),
            Number::Double(-0.0),
            decimal(0, -6176),
            decimal(0, 6111),
        ][..],
        &[
            Number::Integer(5),
            Number::Double(5.0),
            decimal(5, 0),
            decimal(5000, -3),
        ],
        &[Number::Double(0.5), decimal(5, -1), decimal(50_000, -5)],
        &[Number::Double(f64::NAN), Number::Decimal(Decimal::NotANumber)],
        &[
            Number::Double(f64::INFINITY),
            Number::Decimal(Decimal::Infinite { negative: false }),
        ],
        &[
            Number::Double(2f64.powi(100)),
            decimal(1_267_650_600_228_229_401_496_703_205_376, 0),
        ],
    ] {
        for &a in same {
            assert!(same.iter().all(|&b| a.compare(b) == Ordering::Equal), "{a:?}");
        }
    }
}

#[test]
fn fractions_are_cut_off_towards_zero() {
    for (number, truncated) in [
        (Number::Double(-3.9), Some(-3)),
        (Number::Double(f64::NAN), None),
        (Number::Double(9_223_372_036_854_775_808.0), None),
        (Number::Double(-9_223_372_036_854_775_808.0), Some(i64::MIN)),
        (decimal(-39, -1), Some(-3)),
        (decimal(1, -6176), Some(0)),
        (decimal(9, 18), Some(9_000_000_000_000_000_000)),
        (decimal(10, 18), None),
        (decimal(-9_223_372_036_854_775_808, 0), Some(i64::MIN)),
        (decimal(-9_223_372_036_854_775_809, 0), None),
        (decimal(1, 6111), None),
    ] {
        assert_eq!(number.truncated(), truncated, "{number:?}");
    }
    assert_eq!(decimal(50, -1).as_integer(), Some(5));
    assert_eq!(decimal(55, -1).as_integer(), None);
}
