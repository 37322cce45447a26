//! Operators with lists of values.

use super::{Compilation, Compiler, DbRef, all, are_operators, text_of};
use crate::bson::Raw;
use crate::change::RawValue;
use crate::filter::elements::{Elements, kind};
use crate::filter::error::Reason;
use crate::filter::node::{Comparison, List, Node, Test};

impl Compiler<'_> {
    /// `$in`: values to be equal to, and regular expressions to be matched.
    pub(super) fn any_of(&mut self, path: Option<&str>, operand: Raw<'_>) -> Compilation {
        let (mut values, mut expressions) = (Vec::new(), Vec::new());
        for element in self.list(operand)? {
            let element = element?;
            self.within(text_of(element.name)?, |this| {
                match element.value.kind {
                    _ if are_operators(element.value, DbRef::Whole)? => return Err(Reason::Mixed),
                    kind::UNDEFINED => return Err(Reason::Undefined),
                    kind::REGEX => expressions.push(this.expression_of(element.value)?),
                    _ => values.push(RawValue::from(element.value)),
                }
                Ok(())
            })?;
        }
        let list = List::new(values, expressions)?;
        self.condition(path, Test::In(list))
    }

    /// `$all`: values each of which must be there, or `$elemMatch`es each of which must hold.
    pub(super) fn all_of(&mut self, path: Option<&str>, operand: Raw<'_>) -> Compilation {
        let (mut nodes, mut matches) = (Vec::new(), 0);
        for element in self.list(operand)? {
            let element = element?;
            nodes.push(self.within(text_of(element.name)?, |this| {
                let value = element.value;
                if let Some(inner) = only_elem_match(value)? {
                    matches += 1;
                    return this.within("$elemMatch", |this| this.element(path, inner));
                }
                match value.kind {
                    _ if begins_with_operator(value)? => Err(Reason::Mixed),
                    kind::REGEX => this.regex(path, value),
                    _ => this.comparison(path, Comparison::Equal, value),
                }
            })?);
        }
        if matches != 0 && matches != nodes.len() {
            return Err(Reason::NotAlike);
        }
        // Of no values, none are there.
        Ok(if nodes.is_empty() {
            Node::Any(Box::default())
        } else {
            all(nodes)
        })
    }
}

/// The operand of `$elemMatch`, if the value is a document of nothing else.
fn only_elem_match(value: Raw<'_>) -> Compilation<Option<Raw<'_>>> {
    if value.kind != kind::DOCUMENT {
        return Ok(None);
    }
    let mut elements = Elements::new(value.bytes)?;
    match elements.next().transpose()? {
        Some(first) if first.name == b"$elemMatch" => match elements.next() {
            None => Ok(Some(first.value)),
            Some(_) => Err(Reason::NotAlike),
        },
        _ => Ok(None),
    }
}

/// Whether the first name of a document is that of an operator, known or not.
fn begins_with_operator(value: Raw<'_>) -> Compilation<bool> {
    if value.kind != kind::DOCUMENT {
        return Ok(false);
    }
    let first = Elements::new(value.bytes)?.next().transpose()?;
    Ok(first.is_some_and(|first| first.name.starts_with(b"$")))
}
