//! A compiled query: a tree of conditions. As deep as the query was, which `compile` bounds.

use std::cmp::Ordering;

use super::compare::{MISSING, compare, rank, same_rank};
use super::element::ElementTest;
use super::elements::{kind, regex, text};
use super::number::Number;
use super::path::{Leaf, Path};
use super::pattern::Pattern;
use crate::bson::Raw;
use crate::change::RawValue;
use crate::error::DocumentError;

/// A condition, or several of them put together.
#[derive(Debug)]
pub(super) enum Node {
    /// All of them; true if there are none.
    All(Box<[Node]>),
    /// Any of them; false if there are none.
    Any(Box<[Node]>),
    Not(Box<Node>),
    Condition(Condition),
}

/// One test of what a path names.
#[derive(Debug)]
pub(super) struct Condition {
    /// Index into the filter's places: where in the query it stands.
    pub(super) place: u32,
    /// None where the value is given: a condition on elements of an array themselves.
    pub(super) path: Option<Path>,
    /// What the path is, if it is one of those that most filters have.
    pub(super) field: Field,
    pub(super) test: Test,
}

/// Fields that a set of filters finds once for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    ApplicationVersion,
    Metadata,
    Other,
}

/// What a value is tested for.
#[derive(Debug)]
pub(super) enum Test {
    Compare(Comparison, RawValue),
    In(List),
    Matches(Box<Expression>),
    Remainder {
        divisor: i64,
        remainder: i64,
    },
    Exists,
    Type(Types),
    Size(u32),
    /// An array with an element for which the conditions of fields hold.
    Element(Box<ElementTest>),
    /// An array with an element that is itself what the conditions ask for.
    ElementValue(Box<Node>),
}

impl Test {
    /// What it makes of an array at the end of its path.
    #[inline]
    pub(super) const fn leaf(&self) -> Leaf {
        match self {
            Self::Size(_) | Self::Element(_) | Self::ElementValue(_) => Leaf::Whole,
            _ => Leaf::Elements,
        }
    }
}

/// A comparison with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// Whether `value` stands so to `operand`. Values of other ranks do not, with three exceptions: null is equal to
    /// what is missing or undefined, and all is between the least and the greatest key.
    #[inline]
    pub(super) fn test(self, value: Option<Raw<'_>>, operand: Raw<'_>) -> Result<bool, DocumentError> {
        let own = value.map_or(MISSING, |value| rank(value.kind));
        match value {
            Some(value) if own == rank(operand.kind) => self.test_same(value, operand),
            _ if operand.kind == kind::NULL && own == MISSING => Ok(self.holds(Ordering::Equal)),
            _ => Ok(match operand.kind {
                kind::MIN_KEY => matches!(self, Self::Greater | Self::GreaterOrEqual),
                kind::MAX_KEY => matches!(self, Self::Less | Self::LessOrEqual),
                _ => false,
            }),
        }
    }

    #[inline]
    fn test_same(self, value: Raw<'_>, operand: Raw<'_>) -> Result<bool, DocumentError> {
        if self == Self::Equal && operand.kind == kind::STRING {
            return Ok(value.bytes == operand.bytes);
        }
        if let (Some(a), Some(b)) = (Number::read(value)?, Number::read(operand)?) {
            // Beside what is not a number nothing is less or greater.
            let order = a.compare(b);
            let ordered = !(a.is_nan() || b.is_nan());
            return Ok(self.holds(order) && (ordered || order.is_eq()));
        }
        same_rank(value, operand).map(|order| self.holds(order))
    }
}

/// The operand of `$in`.
#[derive(Debug)]
pub(super) struct List {
    /// In their order, each once.
    values: Box<[RawValue]>,
    expressions: Box<[Expression]>,
    /// Null is among them, so what is missing or undefined is too.
    null: bool,
}

impl List {
    pub(super) fn new(
        mut values: Vec<RawValue>,
        expressions: Vec<Expression>,
    ) -> Result<Self, DocumentError> {
        let mut malformed = Ok(());
        let mut order = |a: &RawValue, b: &RawValue| {
            compare(a.as_raw(), b.as_raw()).unwrap_or_else(|error| {
                malformed = Err(error);
                Ordering::Equal
            })
        };
        values.sort_by(&mut order);
        values.dedup_by(|a, b| order(a, b).is_eq());
        malformed?;
        Ok(Self {
            null: values.iter().any(|value| value.kind() == kind::NULL),
            values: values.into(),
            expressions: expressions.into(),
        })
    }

    /// The values, if nothing else is in it.
    pub(super) fn only_values(&self) -> Option<&[RawValue]> {
        self.expressions.is_empty().then_some(&self.values)
    }

    fn test(&self, value: Option<Raw<'_>>) -> Result<bool, DocumentError> {
        let Some(value) = value.filter(|value| value.kind != kind::UNDEFINED) else {
            return Ok(self.null);
        };
        if self.contains(value)? {
            return Ok(true);
        }
        for expression in &self.expressions {
            if expression.test(value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn contains(&self, value: Raw<'_>) -> Result<bool, DocumentError> {
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match compare(value, self.values[middle].as_raw())? {
                Ordering::Equal => return Ok(true),
                Ordering::Less => high = middle,
                Ordering::Greater => low = middle + 1,
            }
        }
        Ok(false)
    }
}

/// A regular expression: matches texts that have a match, and regular expressions that are written the same.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) source: Box<str>,
    pub(super) options: Box<str>,
    pub(super) pattern: Pattern,
}

impl Expression {
    fn test(&self, value: Raw<'_>) -> Result<bool, DocumentError> {
        match value.kind {
            kind::STRING | kind::SYMBOL => Ok(self.pattern.is_match(text(value.bytes)?)),
            kind::REGEX => {
                let (source, options) = regex(value.bytes)?;
                Ok(source == self.source.as_bytes() && options == self.options.as_bytes())
            }
            _ => Ok(false),
        }
    }
}

/// A set of types, one bit for each rank of type code.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Types(u32);

impl Types {
    const fn bit(kind: u8) -> u32 {
        match kind {
            kind::MIN_KEY => 1 << 30,
            kind::MAX_KEY => 1 << 31,
            _ => 1 << (kind & 0x1F),
        }
    }

    pub(super) const fn add(&mut self, kind: u8) {
        self.0 |= Self::bit(kind);
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn has(self, kind: u8) -> bool {
        self.0 & Self::bit(kind) != 0
    }
}

impl Test {
    /// Tests a value, or the absence of one, whatever path led to it.
    #[inline]
    pub(super) fn test(&self, value: Option<Raw<'_>>) -> Result<bool, DocumentError> {
        match self {
            Self::Compare(comparison, operand) => comparison.test(value, operand.as_raw()),
            Self::In(list) => list.test(value),
            Self::Exists => Ok(value.is_some()),
            _ => value.map_or(Ok(false), |value| self.test_present(value)),
        }
    }

    fn test_present(&self, value: Raw<'_>) -> Result<bool, DocumentError> {
        match self {
            Self::Matches(expression) => expression.test(value),
            Self::Remainder { divisor, remainder } => Ok(Number::read(value)?
                .and_then(Number::truncated)
                .is_some_and(|dividend| dividend.wrapping_rem(*divisor) == *remainder)),
            Self::Type(types) => Ok(types.has(value.kind)),
            _ if value.kind != kind::ARRAY => Ok(false),
            Self::Size(size) => super::evaluate::has_size(value, *size),
            Self::Element(test) => super::evaluate::has_element(value, test),
            Self::ElementValue(node) => super::evaluate::has_value(value, node),
            Self::Compare(..) | Self::In(_) | Self::Exists => Ok(false),
        }
    }
}
