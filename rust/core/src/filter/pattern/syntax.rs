//! What a regular expression was read as, and why one was refused.

use regex_syntax::hir::ClassUnicode;

/// A regular expression, taken apart.
#[derive(Debug)]
pub(super) enum Ast {
    /// One character of a set.
    Class(ClassUnicode),
    /// A place between two characters.
    Place(Place),
    /// One behind the other; of none, nothing is asked.
    Sequence(Vec<Ast>),
    /// Either of them.
    Choice(Vec<Ast>),
    /// One of them several times; without `most`, any number.
    Repeat {
        least: u32,
        most: Option<u32>,
        inner: Box<Ast>,
    },
}

/// Where an assertion holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `\A`, and `^` without the option m.
    Start,
    /// `^` with the option m: at the start, and behind a newline that is not the last character.
    LineStart,
    /// `\z`
    End,
    /// `\Z`, and `$` without the option m: at the end, and before a newline that is the last character.
    LastLineEnd,
    /// `$` with the option m: at the end, and before any newline.
    LineEnd,
    /// `\b`
    WordEdge,
    /// `\B`
    NoWordEdge,
}

/// What is wrong with a regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// An option that is none of i, m, s and x.
    Option,
    /// A NUL, which mongod does not take in an expression.
    Nul,
    /// Look-ahead or look-behind.
    LookAround,
    /// A reference to what a group matched, or an octal number.
    BackReference,
    /// A construct behind `(?` or `(*` that is not accepted.
    Group,
    /// An escape that is not accepted.
    Escape,
    /// A number of a character that there is not.
    CodePoint,
    /// A parenthesis without its other.
    Parenthesis,
    /// Groups in each other deeper than the limit.
    Depth,
    /// A class without its end, or with something in it that is not accepted.
    Class,
    /// A range whose end comes before its start, or a hyphen that may be none.
    Range,
    /// A quantifier behind nothing that can be repeated.
    NothingToRepeat,
    /// A possessive quantifier.
    Possessive,
    /// A brace that is no quantifier.
    Brace,
    /// A quantifier with numbers out of order or out of bounds.
    Count,
    /// A group that is repeated without bound.
    EndlessGroup,
    /// A character behind option i whose other cases are not the same everywhere.
    Case,
    /// A comment (option x) that no newline ends.
    Comment,
    /// Both `$` for ends of lines and `$` or `\Z` for the end.
    MixedEnds,
    /// More characters and groups than PCRE compiles, when repeated ones are counted each time.
    TooLong,
    /// More ways to match than PCRE tries.
    TooManyChoices,
    /// The compiled form is larger than its limit.
    TooLarge,
}

impl Problem {
    /// A short text.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Option => "options are letters of imsx",
            Self::Nul => "a NUL cannot stand in it",
            Self::LookAround => "look-around is not supported",
            Self::BackReference => "back-references and octal numbers are not supported",
            Self::Group => "this kind of group is not supported",
            Self::Escape => "this escape is not supported",
            Self::CodePoint => "there is no such character",
            Self::Parenthesis => "a parenthesis is not closed or not opened",
            Self::Depth => "groups are nested too deeply",
            Self::Class => "a character class is not closed or has something in it that is not supported",
            Self::Range => "a range is out of order, or a hyphen needs a backslash",
            Self::NothingToRepeat => "there is nothing to repeat",
            Self::Possessive => "possessive quantifiers are not supported",
            Self::Brace => "a brace that is no quantifier needs a backslash",
            Self::Count => "the numbers of a quantifier are out of order or too large",
            Self::EndlessGroup => "a group needs a most number of repetitions, such as {0,20}",
            Self::Case => "a character whose upper and lower case are not certain cannot stand with option i",
            Self::Comment => "a comment needs a newline at its end",
            Self::MixedEnds => "$ cannot have both meanings in one expression",
            Self::TooLong => "is too long when its repetitions are written out",
            Self::TooManyChoices => "allows too many ways to match",
            Self::TooLarge => "takes too much memory when compiled",
        }
    }
}

/// A regular expression that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) struct PatternError {
    pub(in crate::filter) problem: Problem,
    /// The byte of the expression where it was seen.
    pub(in crate::filter) offset: usize,
}
