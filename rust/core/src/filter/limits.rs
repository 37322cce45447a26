//! How large a query may be.

use crate::limits::{
    MAX_FILTER_BYTES, MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, MAX_FILTER_LIST, MAX_FILTER_NUMBERS,
    MAX_FILTER_PATH, MAX_FILTER_PATTERN, MAX_FILTER_PATTERN_SIZE,
};

/// Bounds of one query. None is ever above the constant of [`crate::limits`] that it is by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of BSON.
    pub bytes: usize,
    /// Documents and lists in each other, the query itself included.
    pub depth: usize,
    /// Conditions.
    pub conditions: usize,
    /// Elements of one list.
    pub list: usize,
    /// Names in one path.
    pub path: usize,
    /// Numbers in one path.
    pub numbers: usize,
    /// Bytes of one regular expression.
    pub pattern: usize,
    /// Bytes that one regular expression may take when it is compiled.
    pub pattern_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: MAX_FILTER_BYTES,
            depth: MAX_FILTER_DEPTH,
            conditions: MAX_FILTER_CONDITIONS,
            list: MAX_FILTER_LIST,
            path: MAX_FILTER_PATH,
            numbers: MAX_FILTER_NUMBERS,
            pattern: MAX_FILTER_PATTERN,
            pattern_size: MAX_FILTER_PATTERN_SIZE,
        }
    }
}

impl Limits {
    /// Each bound, but no more than the default.
    pub(super) fn bounded(self) -> Self {
        let most = Self::default();
        Self {
            bytes: self.bytes.min(most.bytes),
            depth: self.depth.min(most.depth),
            conditions: self.conditions.min(most.conditions),
            list: self.list.min(most.list),
            path: self.path.min(most.path),
            numbers: self.numbers.min(most.numbers),
            pattern: self.pattern.min(most.pattern),
            pattern_size: self.pattern_size.min(most.pattern_size),
        }
    }
}
