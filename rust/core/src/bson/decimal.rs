//! Decimal128 taken apart (IEEE 754-2008, binary integer significand).

const EXPONENT_BIAS: i32 = 6176;
const MAX_COEFFICIENT: u128 = 10_u128.pow(34) - 1;

/// What the bits of a Decimal128 say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// Any kind of it, of either sign.
    NotANumber,
    /// Beyond all numbers.
    Infinite {
        /// Below them.
        negative: bool,
    },
    /// `coefficient` × 10^`exponent`.
    Finite {
        /// Zero has a sign too.
        negative: bool,
        /// At most 34 digits.
        coefficient: u128,
        /// From -6176 to 6111.
        exponent: i32,
    },
}

impl Decimal {
    /// A significand of more than 34 digits counts as 0.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        let negative = bits >> 127 == 1;
        let combination = (bits >> 122) as u32 & 0x1F;
        match combination {
            0x1F => return Self::NotANumber,
            0x1E => return Self::Infinite { negative },
            _ => {}
        }
        // With both upper bits set the significand would have more than 34 digits.
        let long_form = combination >> 3 == 3;
        let exponent = (bits >> if long_form { 111 } else { 113 }) as i32 & 0x3FFF;
        let coefficient = bits & ((1 << 113) - 1);
        let beyond = long_form || coefficient > MAX_COEFFICIENT;
        Self::Finite {
            negative,
            coefficient: if beyond { 0 } else { coefficient },
            exponent: exponent - EXPONENT_BIAS,
        }
    }

    /// The number without its fraction; None for what is beyond 64 bits, infinite or not a number.
    #[must_use]
    pub fn truncated(self) -> Option<i64> {
        let Self::Finite {
            negative,
            coefficient,
            exponent,
        } = self
        else {
            return None;
        };
        let power = 10_u128.checked_pow(exponent.unsigned_abs());
        let magnitude = match (coefficient, power) {
            (0, _) => 0,
            (_, Some(power)) if exponent < 0 => coefficient / power,
            (_, Some(power)) => coefficient.checked_mul(power)?,
            (_, None) if exponent < 0 => 0,
            (_, None) => return None,
        };
        let magnitude = i128::try_from(magnitude).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }
}
