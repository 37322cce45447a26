//! Decimal128 (IEEE 754-2008, binary integer significand) as Python's `decimal` prints it.

use super::text::put_integer;
use crate::bson::Decimal;

/// Appends the decimal's text, without quotes.
pub(super) fn put_decimal(out: &mut String, bits: u128) {
    match Decimal::from_bits(bits) {
        // PyMongo drops the sign of NaN and does not tell its kinds apart.
        Decimal::NotANumber => out.push_str("NaN"),
        Decimal::Infinite { negative } => out.push_str(if negative { "-Infinity" } else { "Infinity" }),
        Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } => {
            if negative {
                out.push('-');
            }
            put_scientific(out, coefficient, exponent);
        }
    }
}

/// The "to-scientific-string" of the General Decimal Arithmetic specification.
fn put_scientific(out: &mut String, coefficient: u128, exponent: i32) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(coefficient);
    let adjusted = exponent + digits.len() as i32 - 1;
    if exponent > 0 || adjusted < -6 {
        let (first, others) = digits.split_at(1);
        out.push_str(first);
        if !others.is_empty() {
            out.push('.');
            out.push_str(others);
        }
        out.push_str(if adjusted < 0 { "E" } else { "E+" });
        put_integer(out, adjusted);
    } else if adjusted >= 0 {
        let (whole, fraction) = digits.split_at((adjusted + 1) as usize);
        out.push_str(whole);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    } else {
        out.push_str("0.");
        (adjusted..-1).for_each(|_| out.push('0'));
        out.push_str(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPONENT_BIAS: i32 = 6176;
    const MAX_COEFFICIENT: u128 = 10_u128.pow(34) - 1;

    fn printed(bits: u128) -> String {
        let mut out = String::new();
        put_decimal(&mut out, bits);
        out
    }

    fn finite(coefficient: u128, exponent: i32) -> String {
        printed(((exponent + EXPONENT_BIAS) as u128) << 113 | coefficient)
    }

    #[test]
    fn numbers_print_as_pythons_decimal() {
        assert_eq!(finite(0, 0), "0");
        assert_eq!(finite(5, -4), "0.0005");
        assert_eq!(finite(123, -2), "1.23");
        assert_eq!(finite(123, 0), "123");
        assert_eq!(finite(123, 1), "1.23E+3");
        assert_eq!(finite(1, 1), "1E+1");
        assert_eq!(finite(0, 3), "0E+3");
        assert_eq!(finite(0, -6), "0.000000");
        assert_eq!(finite(0, -7), "0E-7");
        assert_eq!(finite(12, -8), "1.2E-7");
        assert_eq!(
            finite(MAX_COEFFICIENT, 6111),
            "9.999999999999999999999999999999999E+6144"
        );
        assert_eq!(finite(1, -6176), "1E-6176");
    }

    #[test]
    fn special_values() {
        assert_eq!(printed(0x78 << 120), "Infinity");
        assert_eq!(printed(0xF8 << 120), "-Infinity");
        assert_eq!(printed(0x7C << 120), "NaN");
        assert_eq!(printed(0xFE << 120), "NaN");
        assert_eq!(printed(1 << 127 | (EXPONENT_BIAS as u128) << 113), "-0");
    }

    #[test]
    fn significands_beyond_34_digits_are_zero() {
        assert_eq!(finite(MAX_COEFFICIENT + 1, 0), "0");
        assert_eq!(printed(3 << 125 | (EXPONENT_BIAS as u128) << 111 | 7), "0");
    }
}
