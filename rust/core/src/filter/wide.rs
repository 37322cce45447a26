//! Integers wide enough to compare any double with any Decimal128 of about its size, on the stack.

use std::cmp::Ordering;

/// Words of a [`Wide`]. The widest is a double's 53 bits × 5^360 (836 bits) shifted by about 1,100 + 360 bits.
const WORDS: usize = 40;

/// 5^27, the largest power of five in one word.
const FIVES: u64 = 7_450_580_596_923_828_125;
const FIVES_POWER: u32 = 27;

/// An integer of up to 2,560 bits, the lowest word first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    words: [u64; WORDS],
    /// How many of them may be other than zero.
    used: usize,
}

impl From<u128> for Wide {
    fn from(value: u128) -> Self {
        let mut words = [0; WORDS];
        words[0] = value as u64;
        words[1] = (value >> 64) as u64;
        Self { words, used: 2 }
    }
}

impl Wide {
    fn times(&mut self, factor: u64) {
        let mut carry = 0;
        for word in &mut self.words[..self.used] {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            self.words[self.used] = carry as u64;
            self.used += 1;
        }
    }

    /// Itself × 5^`power`.
    pub(super) fn times_five_to(mut self, power: u32) -> Self {
        for _ in 0..power / FIVES_POWER {
            self.times(FIVES);
        }
        self.times(5_u64.pow(power % FIVES_POWER));
        self
    }

    /// Itself × 2^`bits`.
    pub(super) fn shifted(mut self, bits: u32) -> Self {
        self.times(1 << (bits % 64));
        let words = (bits / 64) as usize;
        self.words.copy_within(..self.used, words);
        self.words[..words].fill(0);
        self.used += words;
        self
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.iter().rev().cmp(other.words.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_carry_over_words() {
        let long = Wide::from(u128::MAX).times_five_to(1);
        assert_eq!(long.words[..3], [u64::MAX - 4, u64::MAX, 4]);
        assert_eq!(Wide::from(3).shifted(64 * 3 + 1).words[..4], [0, 0, 0, 6]);
        assert_eq!(Wide::from(1).times_five_to(27), Wide::from(u128::from(FIVES)));
        assert_eq!(
            Wide::from(1).times_five_to(54).words,
            Wide::from(u128::from(FIVES) * u128::from(FIVES)).words
        );
    }

    #[test]
    fn the_widest_numbers_fit() {
        let widest = Wide::from((1 << 113) - 1).times_five_to(395).shifted(1_480);
        assert!(widest > Wide::from(u128::MAX).shifted(2_300));
    }
}
