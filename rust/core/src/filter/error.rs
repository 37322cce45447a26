//! Why a query is not accepted as a filter.

use std::fmt;

use super::pattern::Problem;
use crate::error::DocumentError;

/// A query that is no filter: what is wrong with it, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The names that lead there, with dots between them; empty for the query itself. Names of fields and operators
    /// and indices of lists, never values.
    pub place: Box<str>,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            write!(f, "query: {}", self.reason)
        } else {
            write!(f, "{}: {}", self.place, self.reason)
        }
    }
}

impl std::error::Error for FilterError {}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The bytes are not BSON.
    Document(DocumentError),
    /// More bytes than the limit that is named.
    Bytes(usize),
    /// Documents and lists in each other beyond the limit.
    Depth(usize),
    /// More conditions than the limit.
    Conditions(usize),
    /// A list that is longer than the limit.
    List(usize),
    /// A path with more names than the limit.
    PathLength(usize),
    /// A path that may go by number through more arrays than the limit.
    PathNumbers(usize),
    /// A name in a path that is empty.
    PathName,
    /// A field that filters cannot ask about.
    Field,
    /// An operator that filters do not have.
    Operator,
    /// Operators and fields side by side, or operators where values are expected.
    Mixed,
    /// The operand must be a list.
    NotAList,
    /// The list must have elements.
    EmptyList,
    /// The elements of the list must be queries.
    NotQueries,
    /// The operand must be a document.
    NotADocument,
    /// `$not` needs a regular expression or operators.
    NotNegatable,
    /// The elements of `$all` are either `$elemMatch` each, and nothing else, or values.
    NotAlike,
    /// Compared with undefined.
    Undefined,
    /// Compared by size or difference with a regular expression.
    RegexOperand,
    /// Not a whole number from 0 to 2^31-1.
    Size,
    /// Not a divisor other than 0 and a remainder, both within 64 bits.
    Remainder,
    /// Not the name or number of a type, nor a list of such.
    Type,
    /// `$options` without `$regex`.
    OptionsAlone,
    /// Options both beside and in the expression, or twice, or the expression twice.
    OptionsTwice,
    /// Neither a text nor a regular expression.
    NotAPattern,
    /// A regular expression beyond this number of bytes.
    PatternBytes(usize),
    /// A regular expression that cannot be accepted, and the byte of it that says why.
    Pattern(Problem, usize),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => write!(f, "{error}"),
            Self::Bytes(most) => write!(f, "is longer than {most} bytes"),
            Self::Depth(most) => write!(f, "is nested deeper than {most} levels"),
            Self::Conditions(most) => write!(f, "makes more than {most} conditions"),
            Self::List(most) => write!(f, "is a list of more than {most} elements"),
            Self::PathLength(most) => write!(f, "is a path of more than {most} names"),
            Self::PathNumbers(most) => write!(f, "goes by number through more than {most} arrays"),
            Self::PatternBytes(most) => write!(f, "is a regular expression of more than {most} bytes"),
            Self::Pattern(problem, offset) => {
                write!(f, "regular expression, at byte {offset}: {}", problem.reason())
            }
            _ => f.write_str(self.plain()),
        }
    }
}

impl Reason {
    /// The text of a reason that has no number in it.
    const fn plain(&self) -> &'static str {
        match self {
            Self::PathName => "a name in the path is empty",
            Self::Field => "filters ask about metadata, application_version and _id only",
            Self::Operator => "filters do not have this operator",
            Self::Mixed => "operators cannot stand here",
            Self::NotAList => "must be a list",
            Self::EmptyList => "must be a list that is not empty",
            Self::NotQueries => "must be a list of queries",
            Self::NotADocument => "must be a document",
            Self::NotNegatable => "must be a regular expression or a document of operators",
            Self::NotAlike => "must have $elemMatch, and nothing else, in each element or in none",
            Self::Undefined => "cannot be compared with undefined",
            Self::RegexOperand => "cannot be compared with a regular expression",
            Self::Size => "must be a whole number from 0 to 2147483647",
            Self::Remainder => "must be a divisor other than 0 and a remainder, both within 64 bits",
            Self::Type => "must be the name or number of a BSON type, or a list of such",
            Self::OptionsAlone => "needs $regex beside it",
            Self::OptionsTwice => "expression or options are given twice",
            Self::NotAPattern => "must be a text or a regular expression",
            _ => "cannot be accepted",
        }
    }
}

impl From<DocumentError> for Reason {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}
