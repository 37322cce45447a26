//! Regular expressions, written as values or with operators.

use super::{Compilation, Compiler};
use crate::bson::Raw;
use crate::error::DocumentError;
use crate::filter::elements::{Elements, kind, regex, text};
use crate::filter::error::Reason;
use crate::filter::node::{Expression, Test};
use crate::filter::pattern::Pattern;

impl Compiler<'_> {
    /// A regular expression as a value, to be matched.
    pub(super) fn regex(&mut self, path: Option<&str>, value: Raw<'_>) -> Compilation {
        let expression = self.expression_of(value)?;
        self.condition(path, Test::Matches(Box::new(expression)))
    }

    /// The expression that a regular expression as a value is.
    pub(super) fn expression_of(&self, value: Raw<'_>) -> Compilation<Expression> {
        let (source, options) = regex(value.bytes)?;
        self.expression(source, options)
    }

    /// `$regex` with the `$options` beside it.
    pub(super) fn written_regex(&mut self, path: Option<&str>, operators: &[u8]) -> Compilation {
        let (mut written, mut options) = (None, None);
        for element in Elements::new(operators)? {
            let element = element?;
            let place = match element.name {
                b"$regex" => &mut written,
                b"$options" => &mut options,
                _ => continue,
            };
            if place.replace(element.value).is_some() {
                return Err(Reason::OptionsTwice);
            }
        }
        let written = written.ok_or(Reason::NotAPattern)?;
        let options = match options {
            None => None,
            Some(options) if options.kind == kind::STRING => Some(text(options.bytes)?),
            Some(_) => return Err(Reason::NotAPattern),
        };
        let (source, own) = match written.kind {
            kind::STRING => (text(written.bytes)?, &b""[..]),
            kind::REGEX => regex(written.bytes)?,
            _ => return Err(Reason::NotAPattern),
        };
        if options.is_some() && !own.is_empty() {
            return Err(Reason::OptionsTwice);
        }
        let expression = self.expression(source, options.unwrap_or(own))?;
        self.condition(path, Test::Matches(Box::new(expression)))
    }

    fn expression(&self, source: &[u8], options: &[u8]) -> Compilation<Expression> {
        if source.len() > self.limits.pattern {
            return Err(Reason::PatternBytes(self.limits.pattern));
        }
        let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| Reason::Document(DocumentError::Utf8));
        let (source, options) = (utf8(source)?, utf8(options)?);
        let pattern = Pattern::new(source, options, self.limits.pattern_size)
            .map_err(|error| Reason::Pattern(error.problem, error.offset))?;
        Ok(Expression {
            source: source.into(),
            options: options.into(),
            pattern,
        })
    }
}
