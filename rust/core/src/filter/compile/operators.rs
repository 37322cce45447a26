//! Operators on one field, or on the elements of an array themselves.

use super::numbers::{is_true, remainder, size, types};
use super::{Compilation, Compiler, DbRef, Scope, all, are_operators, not, text_of};
use crate::bson::Raw;
use crate::filter::element::{ElementTest, TextField};
use crate::filter::elements::{Elements, kind};
use crate::filter::error::Reason;
use crate::filter::node::{Comparison, Condition, Node, Test};
use crate::filter::path::Path;

impl Compiler<'_> {
    /// Operators side by side, all of which must hold.
    pub(super) fn operators(&mut self, path: Option<&str>, operators: &[u8]) -> Compilation {
        let mut nodes = Vec::new();
        for element in Elements::new(operators)? {
            let element = element?;
            let name = text_of(element.name)?;
            nodes.extend(self.within(name, |this| this.operator(path, name, element.value, operators))?);
        }
        Ok(all(nodes))
    }

    /// One operator; None for options, which belong to the expression beside them.
    fn operator(
        &mut self,
        path: Option<&str>,
        name: &str,
        operand: Raw<'_>,
        beside: &[u8],
    ) -> Compilation<Option<Node>> {
        let compare = |this: &mut Self, comparison| this.comparison(path, comparison, operand);
        let test = |this: &mut Self, test| this.condition(path, test);
        Ok(Some(match name {
            "$eq" => compare(self, Comparison::Equal)?,
            "$lt" => compare(self, Comparison::Less)?,
            "$lte" => compare(self, Comparison::LessOrEqual)?,
            "$gt" => compare(self, Comparison::Greater)?,
            "$gte" => compare(self, Comparison::GreaterOrEqual)?,
            "$ne" if operand.kind == kind::REGEX => return Err(Reason::RegexOperand),
            "$ne" => not(compare(self, Comparison::Equal)?),
            "$in" => self.any_of(path, operand)?,
            "$nin" => not(self.any_of(path, operand)?),
            "$not" => not(self.negated(path, operand)?),
            "$exists" if is_true(operand)? => test(self, Test::Exists)?,
            "$exists" => not(test(self, Test::Exists)?),
            "$type" => test(self, Test::Type(types(operand)?))?,
            "$size" => test(self, Test::Size(size(operand)?))?,
            "$mod" => test(self, remainder(operand)?)?,
            "$regex" => self.written_regex(path, beside)?,
            "$options" if has_regex(beside)? => return Ok(None),
            "$options" => return Err(Reason::OptionsAlone),
            "$elemMatch" => self.element(path, operand)?,
            "$all" => self.all_of(path, operand)?,
            _ if !name.starts_with('$') => return Err(Reason::Mixed),
            _ => return Err(Reason::Operator),
        }))
    }

    fn negated(&mut self, path: Option<&str>, operand: Raw<'_>) -> Compilation {
        match operand.kind {
            kind::REGEX => self.regex(path, operand),
            kind::DOCUMENT if Elements::new(operand.bytes)?.next().is_some() => {
                self.operators(path, operand.bytes)
            }
            _ => Err(Reason::NotNegatable),
        }
    }

    /// `$elemMatch`: operators on the elements themselves, or a query over their fields.
    pub(super) fn element(&mut self, path: Option<&str>, operand: Raw<'_>) -> Compilation {
        if operand.kind != kind::DOCUMENT {
            return Err(Reason::NotADocument);
        }
        let outside = self.numbers;
        self.numbers += path.and_then(Path::new).map_or(0, |path| path.numbers());
        let test = if are_operators(operand, DbRef::Part)? && !begins_logically(operand)? {
            Test::ElementValue(Box::new(self.operators(None, operand.bytes)?))
        } else {
            Test::Element(Box::new(element_test(self.query(operand.bytes, Scope::Element)?)))
        };
        self.numbers = outside;
        self.condition(path, test)
    }
}

/// Whether `$regex` stands among these operators.
fn has_regex(operators: &[u8]) -> Compilation<bool> {
    for element in Elements::new(operators)? {
        if element?.name == b"$regex" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the first name of a document is that of an operator which stands where fields do.
fn begins_logically(document: Raw<'_>) -> Compilation<bool> {
    let first = Elements::new(document.bytes)?.next().transpose()?;
    Ok(first.is_some_and(|first| matches!(first.name, b"$and" | b"$or" | b"$nor" | b"$comment")))
}

/// Sets one condition apart that asks for a text in a field: in `key` if there is one, since that comes first in
/// metadata.
fn element_test(conditions: Node) -> ElementTest {
    let mut nodes = match conditions {
        Node::All(nodes) => nodes.into_vec(),
        node => vec![node],
    };
    let position = |wanted: &dyn Fn(&[u8]) -> bool| {
        let mut nodes = nodes.iter();
        nodes.position(|node| text_field(node).is_some_and(|(name, _)| wanted(name)))
    };
    let at = position(&|name| name == b"key").or_else(|| position(&|_| true));
    let text = at.map(|at| nodes.remove(at)).and_then(|node| {
        let (name, text) = text_field(&node)?;
        let (name, text) = (name.to_vec(), text.to_vec());
        Some(TextField::new(node, &name, &text))
    });
    ElementTest {
        text,
        others: all(nodes),
    }
}

/// Field and text of a condition that asks for a text in a field.
fn text_field(node: &Node) -> Option<(&[u8], &[u8])> {
    let Node::Condition(Condition {
        path: Some(path),
        test: Test::Compare(Comparison::Equal, operand),
        ..
    }) = node
    else {
        return None;
    };
    let name = path.only_name()?;
    (operand.kind() == kind::STRING).then_some((name, operand.bytes()))
}
