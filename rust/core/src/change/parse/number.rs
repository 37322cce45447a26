//! Numbers: the grammar first, then the value.

use super::{Fault, Parser, Reason};
use crate::bson::write::kind;
use crate::limits::MAX_HARD_NUMBERS;

/// Digits that fit 64 bits, whichever they are.
const LEADING_DIGITS: usize = 19;
/// An exponent beyond which everything is zero or infinite, however many digits stand before it.
const MAX_EXPONENT: i64 = 1 << 40;

impl Parser<'_> {
    /// A number; a minus or a digit is here.
    pub(super) fn number(&mut self) -> Result<u8, Fault> {
        let start = self.at;
        let is_negative = self.skip(b"-");
        if is_negative && self.bytes[self.at..].starts_with(b"Infinity") {
            return Err(Fault::of_text(Reason::Constant));
        }
        let first_digit = self.at;
        if !self.skip(b"0") {
            self.digits()?;
        }
        let last_digit = self.at;
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        if self.at > last_digit {
            return self.double(start);
        }
        let digits = &self.bytes[first_digit..last_digit];
        let integer = integer(digits, is_negative).ok_or_else(|| self.fault(Reason::Integer))?;
        Ok(match i32::try_from(integer) {
            Ok(small) => {
                self.out.extend_from_slice(&small.to_le_bytes());
                kind::INT32
            }
            Err(_) => {
                self.out.extend_from_slice(&integer.to_le_bytes());
                kind::INT64
            }
        })
    }

    fn double(&mut self, start: usize) -> Result<u8, Fault> {
        let text = &self.text[start..self.at];
        let value = if text.len() <= LEADING_DIGITS {
            read(text)
        } else {
            self.long_double(text)?
        };
        if value.is_infinite() {
            return Err(self.fault(Reason::Double));
        }
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(kind::DOUBLE)
    }

    /// The first digits decide almost always. Where they do not, reading takes up to 40 µs and is counted.
    fn long_double(&mut self, text: &str) -> Result<f64, Fault> {
        let Some(leading) = Leading::of(text.as_bytes()) else {
            return Ok(read(text));
        };
        if let Some(value) = leading.decide() {
            return Ok(if text.starts_with('-') { -value } else { value });
        }
        self.hard_numbers += 1;
        if self.hard_numbers > MAX_HARD_NUMBERS {
            return Err(Fault::of_text(Reason::TooManyHard));
        }
        Ok(read(text))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.syntax()) } else { Ok(()) }
    }

    /// Skips one byte if it is one of these.
    fn skip(&mut self, any: &[u8]) -> bool {
        let is_one = self.bytes.get(self.at).is_some_and(|byte| any.contains(byte));
        self.at += usize::from(is_one);
        is_one
    }
}

/// The integer with these digits, if it fits.
fn integer(digits: &[u8], is_negative: bool) -> Option<i64> {
    // There are no zeros in front.
    if digits.len() > LEADING_DIGITS {
        return None;
    }
    let magnitude = digits
        .iter()
        .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if is_negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The double that is nearest. The grammar of Rust's reader includes that of JSON's numbers.
fn read(text: &str) -> f64 {
    text.parse().unwrap_or(f64::INFINITY)
}

/// What a number of more than 19 digits begins with: it is at least `digits * 10^exponent`, and less than one more.
#[derive(Clone, Copy)]
struct Leading {
    digits: u64,
    exponent: i64,
}

impl Leading {
    /// None for a number that has no more than 19 digits behind the zeros in front.
    fn of(text: &[u8]) -> Option<Self> {
        let mut leading = Self {
            digits: 0,
            exponent: 0,
        };
        let mut taken = 0;
        let (mut is_fraction, mut is_longer) = (false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'0'..=b'9' if taken < LEADING_DIGITS => {
                    leading.digits = leading.digits * 10 + u64::from(byte - b'0');
                    taken += usize::from(leading.digits > 0);
                    leading.exponent -= i64::from(is_fraction);
                }
                b'0'..=b'9' => {
                    is_longer = true;
                    leading.exponent += i64::from(!is_fraction);
                }
                b'.' => is_fraction = true,
                b'e' | b'E' => {
                    leading.exponent += exponent(&text[at + 1..]);
                    break;
                }
                _ => {}
            }
        }
        is_longer.then_some(leading)
    }

    /// The double that every number with these leading digits is nearest to, its sign left out; None if there are two.
    fn decide(self) -> Option<f64> {
        let mut text = String::with_capacity(2 * LEADING_DIGITS + 4);
        let mut read = |digits: u64| {
            text.clear();
            text.push_str(itoa::Buffer::new().format(digits));
            text.push('e');
            text.push_str(itoa::Buffer::new().format(self.exponent));
            read(&text)
        };
        let least = read(self.digits);
        (least == read(self.digits + 1)).then_some(least)
    }
}

/// The exponent with this sign and these digits.
fn exponent(text: &[u8]) -> i64 {
    let is_negative = text.first() == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let magnitude = digits.fold(0, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(MAX_EXPONENT)
    });
    if is_negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading(text: &str) -> Option<(u64, i64)> {
        Leading::of(text.as_bytes()).map(|leading| (leading.digits, leading.exponent))
    }

    #[test]
    fn leading_digits_and_their_exponent() {
        assert_eq!(
            leading("1234567890123456789.0e0"),
            Some((1_234_567_890_123_456_789, 0))
        );
        assert_eq!(
            leading("-12345678901234567890123.5e-3"),
            Some((1_234_567_890_123_456_789, 1))
        );
        assert_eq!(
            leading("0.000123456789012345678901"),
            Some((1_234_567_890_123_456_789, -22))
        );
        assert_eq!(
            leading("12.345678901234567890123E+100"),
            Some((1_234_567_890_123_456_789, 83))
        );
        assert_eq!(leading("0.0000000000000000000000000012"), None);
        assert_eq!(leading("1234567890.123456789"), None);
        assert_eq!(
            leading("1234567890.1234567891e99999999999999999999"),
            Some((1_234_567_890_123_456_789, MAX_EXPONENT - 9))
        );
    }

    #[test]
    fn the_first_digits_decide_unless_a_halfway_point_is_among_what_may_follow() {
        let decide = |text: &str| Leading::of(text.as_bytes()).expect("is long").decide();
        assert_eq!(
            decide("0.33333333333333333333333333"),
            Some(0.333_333_333_333_333_3)
        );
        assert_eq!(decide("9007199254740993.00000000000000000001"), None);
        assert_eq!(decide("2.4703282292062327208e-324"), None);
        assert_eq!(decide("99999999999999999999e400"), Some(f64::INFINITY));
        assert_eq!(decide("12345678901234567890e-999999999999"), Some(0.0));
        assert_eq!(decide("99999999999999999999.9"), Some(1e20));
    }
}
