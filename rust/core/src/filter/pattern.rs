//! Regular expressions as mongod (PCRE, in UTF-8 mode) takes them, compiled to automata that look at each byte once.
//!
//! Only what both mean exactly the same is accepted. Look-around, back-references, atomic groups and possessive
//! quantifiers cannot be done in linear time. What makes PCRE give up and say "no match" on short texts is refused
//! too: groups repeated without bound, whose iterations it keeps on a stack of 4,000, and more choices than it tries
//! (200,000 steps).
//!
//! Only whether there is a match is ever asked, so lazy quantifiers mean the same as greedy ones, and the order of
//! alternatives means nothing.

mod automaton;
mod class;
mod cost;
mod escape;
mod fold;
mod parse;
mod syntax;

pub(super) use syntax::PatternError;
pub use syntax::Problem;

use automaton::Automaton;
use parse::Flags;

/// A compiled regular expression.
#[derive(Debug)]
pub(super) struct Pattern {
    automaton: Automaton,
}

impl Pattern {
    /// Compiles `source`; `options` are letters of `imsx`. The automaton takes at most `size` bytes.
    pub(super) fn new(source: &str, options: &str, size: usize) -> Result<Self, PatternError> {
        let flags = Flags::from_letters(options).ok_or(PatternError {
            problem: Problem::Option,
            offset: 0,
        })?;
        if let Some(offset) = source.find('\0') {
            let problem = Problem::Nul;
            return Err(PatternError { problem, offset });
        }
        let ast = parse::parse(source, flags)?;
        let error = |problem| PatternError { problem, offset: 0 };
        cost::check(&ast).map_err(error)?;
        let automaton = Automaton::new(&ast, size).map_err(error)?;
        Ok(Self { automaton })
    }

    /// Whether there is a match anywhere in `text`. Nothing matches what is not UTF-8.
    #[inline]
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok() && self.automaton.is_match(text)
    }
}

#[cfg(test)]
mod tests;
