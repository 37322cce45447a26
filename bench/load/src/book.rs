//! The book of gets under way: every answer is matched to exactly one of them by its correlation id.

use std::collections::HashSet;
use std::time::Instant;

use crate::targets::Expected;

/// Length of a correlation id: shaped like a UUID, as clients send them.
pub const CORRELATION: usize = 36;
/// Lost gets remembered, to tell a late answer from a repeated one.
const MAX_LOST: usize = 1 << 20;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A get under way.
#[derive(Clone, Copy)]
pub struct Get {
    /// What it asked for.
    pub target: u32,
    /// What its answer must hold.
    pub expected: Expected,
    /// When it was, or should have been, sent.
    pub origin: Instant,
}

/// What an answer's correlation id says.
pub enum Match {
    /// It answers this get, for the first time.
    Get(Get),
    /// Its get was given up as lost before.
    Late,
    /// Its get was answered before.
    Duplicate,
    /// It answers no get of this connection.
    Stray,
}

#[derive(Clone)]
struct Slot {
    generation: u32,
    get: Option<Get>,
}

/// Gets under way on one connection, at most as many as it has slots.
pub struct Book {
    prefix: [u8; 14],
    slots: Vec<Slot>,
    free: Vec<u32>,
    lost: HashSet<(u32, u32)>,
}

impl Book {
    /// A book of `size` slots; `run` and `worker` make its correlation ids its own.
    pub fn new(run: u32, worker: u16, size: u32) -> Self {
        let mut prefix = [b'-'; 14];
        put_hex(&mut prefix[..8], run.into());
        put_hex(&mut prefix[9..13], worker.into());
        let slots = vec![
            Slot {
                generation: 0,
                get: None
            };
            size as usize
        ];
        Self {
            prefix,
            slots,
            free: (0..size).rev().collect(),
            lost: HashSet::new(),
        }
    }

    /// Gets under way.
    pub fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Enters a get and appends its correlation id to `out`; `false` when the book is full.
    pub fn enter(&mut self, get: Get, out: &mut Vec<u8>) -> bool {
        let Some(number) = self.free.pop() else {
            return false;
        };
        let slot = &mut self.slots[number as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.get = Some(get);
        let mut id = [b'-'; CORRELATION];
        id[..14].copy_from_slice(&self.prefix);
        put_hex(&mut id[14..18], (number >> 16).into());
        put_hex(&mut id[19..23], (number & 0xffff).into());
        put_hex(&mut id[24..36], slot.generation.into());
        out.extend_from_slice(&id);
        true
    }

    /// Takes the get that an answer belongs to out of the book.
    pub fn settle(&mut self, correlation: &[u8]) -> Match {
        let Some((number, generation)) = self.parse(correlation) else {
            return Match::Stray;
        };
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return Match::Stray;
        };
        let current = slot.generation == generation;
        if let Some(get) = slot.get.take_if(|_| current) {
            self.free.push(number);
            return Match::Get(get);
        }
        if self.lost.remove(&(number, generation)) {
            Match::Late
        } else if generation > slot.generation {
            Match::Stray
        } else {
            Match::Duplicate
        }
    }

    /// Gives up the gets sent before `moment` and tells `each` of them.
    pub fn expire(&mut self, moment: Instant, mut each: impl FnMut(Get)) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some(get) = slot.get.take_if(|get| get.origin < moment) {
                let number = number as u32;
                self.free.push(number);
                if self.lost.len() < MAX_LOST {
                    self.lost.insert((number, slot.generation));
                }
                each(get);
            }
        }
    }

    fn parse(&self, id: &[u8]) -> Option<(u32, u32)> {
        if id.len() != CORRELATION || id[..14] != self.prefix || id[18] != b'-' || id[23] != b'-' {
            return None;
        }
        let number = hex(&id[14..18])? << 16 | hex(&id[19..23])?;
        Some((number as u32, u32::try_from(hex(&id[24..36])?).ok()?))
    }
}

/// Writes all of `out` full with the last digits of a number.
pub fn put_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = HEX[(value & 15) as usize];
        value >>= 4;
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn get(target: u32, origin: Instant) -> Get {
        let expected = Expected::default();
        Get {
            target,
            expected,
            origin,
        }
    }

    fn enter(book: &mut Book, target: u32, origin: Instant) -> Vec<u8> {
        let mut id = Vec::new();
        assert!(book.enter(get(target, origin), &mut id));
        id
    }

    #[test]
    fn an_answer_settles_its_get_once() {
        let mut book = Book::new(7, 1, 2);
        let now = Instant::now();
        let (first, second) = (enter(&mut book, 10, now), enter(&mut book, 11, now));
        assert!(!book.enter(get(12, now), &mut Vec::new()));
        assert!(matches!(book.settle(&second), Match::Get(get) if get.target == 11));
        assert!(matches!(book.settle(&second), Match::Duplicate));
        let third = enter(&mut book, 13, now);
        assert!(matches!(book.settle(&second), Match::Duplicate));
        assert!(matches!(book.settle(&first), Match::Get(get) if get.target == 10));
        assert!(matches!(book.settle(&third), Match::Get(get) if get.target == 13));
        assert_eq!(book.under_way(), 0);
    }

    #[test]
    fn an_answer_after_its_time_is_late_once() {
        let mut book = Book::new(7, 1, 2);
        let now = Instant::now();
        let id = enter(&mut book, 10, now);
        let mut lost = Vec::new();
        book.expire(now, |get| lost.push(get.target));
        assert!(lost.is_empty());
        book.expire(now + Duration::from_millis(1), |get| lost.push(get.target));
        assert_eq!(lost, [10]);
        assert!(matches!(book.settle(&id), Match::Late));
        assert!(matches!(book.settle(&id), Match::Duplicate));
    }

    #[test]
    fn answers_of_others_are_strays() {
        let now = Instant::now();
        let mut book = Book::new(7, 1, 2);
        let other = enter(&mut Book::new(8, 1, 2), 0, now);
        assert!(matches!(book.settle(&other), Match::Stray));
        assert!(matches!(book.settle(b""), Match::Stray));
        let mut future = enter(&mut book, 0, now);
        future[35] = b'9';
        assert!(matches!(book.settle(&future), Match::Stray));
    }
}
