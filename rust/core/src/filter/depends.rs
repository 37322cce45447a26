//! Which changes can alter a verdict, and what a document must have to match at all. Both are supersets.
//!
//! They hold for documents that are [`plain`], as the register writes them; others may be read in ways that only
//! evaluation knows.

use std::collections::BTreeSet;

use super::compare::rank;
use super::element::ElementTest;
use super::elements::{Elements, find, kind, text};
use super::node::{Comparison, Condition, Node, Test};
use super::number::Number;
use crate::bson::Raw;
use crate::error::DocumentError;

/// What of an endpoint a verdict depends on. The ID never changes, so that is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// These keys of its metadata.
    pub keys: BTreeSet<Box<str>>,
    /// Its application version.
    pub application_version: bool,
    /// All of its metadata, whatever the keys.
    pub everything: bool,
}

/// What a verdict depends on.
pub(super) fn dependencies(node: &Node) -> Dependencies {
    let mut found = Dependencies::default();
    collect(node, &mut found);
    found
}

fn collect(node: &Node, found: &mut Dependencies) {
    match node {
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| collect(node, found)),
        Node::Not(inner) => collect(inner, found),
        Node::Condition(condition) => match first_name(condition) {
            Some(b"_id") => {}
            Some(b"application_version") => found.application_version = true,
            _ => match element(condition).and_then(keys_of_element) {
                Some(keys) => found.keys.extend(keys),
                None => found.everything = true,
            },
        },
    }
}

fn first_name(condition: &Condition) -> Option<&[u8]> {
    condition.path.as_ref()?.names().next()
}

/// The conditions on one element of the metadata, if that is what the condition is.
fn element(condition: &Condition) -> Option<&ElementTest> {
    match (&condition.test, condition.path.as_ref()?.only_name()?) {
        (Test::Element(test), b"metadata") => Some(test),
        _ => None,
    }
}

/// The keys that an element may have for which the conditions hold.
fn keys_of_element(test: &ElementTest) -> Option<BTreeSet<Box<str>>> {
    let text = test.text.as_ref().map(|text| &text.condition);
    text.and_then(keys).or_else(|| keys(&test.others))
}

fn keys(node: &Node) -> Option<BTreeSet<Box<str>>> {
    match node {
        Node::Not(_) => None,
        // Any of these will do; the first is the one that people write in front.
        Node::All(nodes) => nodes.iter().find_map(keys),
        Node::Any(nodes) => {
            let mut union = BTreeSet::new();
            for node in nodes {
                union.extend(keys(node)?);
            }
            Some(union)
        }
        Node::Condition(condition) => {
            if condition.path.as_ref()?.only_name()? != b"key" {
                return None;
            }
            match &condition.test {
                Test::Compare(Comparison::Equal, operand) => {
                    Some(BTreeSet::from([text_of(operand.as_raw())?]))
                }
                Test::In(list) => list
                    .only_values()?
                    .iter()
                    .map(|value| text_of(value.as_raw()))
                    .collect(),
                _ => None,
            }
        }
    }
}

fn text_of(value: Raw<'_>) -> Option<Box<str>> {
    if !matches!(value.kind, kind::STRING | kind::SYMBOL) {
        return None;
    }
    std::str::from_utf8(text(value.bytes).ok()?).ok().map(Into::into)
}

/// Something that every document has that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Required {
    /// Nothing that is known.
    Nothing,
    /// This application version.
    ApplicationVersion(Box<str>),
    /// This key.
    Key(Box<str>),
    /// This key, with a value like this one.
    Value(Box<str>, Likeness),
}

impl Required {
    /// How much it tells.
    const fn rank(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::ApplicationVersion(_) => 1,
            Self::Key(_) => 2,
            Self::Value(..) => 3,
        }
    }
}

/// What is required of every document that matches; of several things, the one that tells most.
pub(super) fn required(node: &Node) -> Required {
    match node {
        Node::All(nodes) => nodes
            .iter()
            .map(required)
            .max_by_key(Required::rank)
            .unwrap_or(Required::Nothing),
        Node::Condition(condition) => required_by(condition).unwrap_or(Required::Nothing),
        Node::Any(_) | Node::Not(_) => Required::Nothing,
    }
}

fn required_by(condition: &Condition) -> Option<Required> {
    if let Test::Compare(Comparison::Equal, operand) = &condition.test {
        let name = condition.path.as_ref()?.only_name()?;
        return (name == b"application_version")
            .then(|| text_of(operand.as_raw()).map(Required::ApplicationVersion))?;
    }
    let test = element(condition)?;
    let mut keys = keys_of_element(test)?.into_iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let text = test.text.as_ref().map(|text| &text.condition);
    Some(
        match text.into_iter().chain([&test.others]).find_map(likeness_of_value) {
            Some(likeness) => Required::Value(key, likeness),
            None => Required::Key(key),
        },
    )
}

/// What the value of an element is like for which the conditions hold.
fn likeness_of_value(node: &Node) -> Option<Likeness> {
    match node {
        Node::All(nodes) => nodes.iter().find_map(likeness_of_value),
        Node::Condition(Condition {
            path: Some(path),
            test: Test::Compare(Comparison::Equal, operand),
            ..
        }) if path.only_name() == Some(b"value") => Likeness::of(operand.as_raw()),
        _ => None,
    }
}

/// What values that are equal have in common: their type's rank, and a text, the integer part of a number, or a truth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    Text(Box<[u8]>),
    /// None for what is beyond 64 bits, infinite or no number.
    Number(Option<i64>),
    /// Of the other types that have no parts.
    Other(i8, Box<[u8]>),
}

impl Likeness {
    /// None for null, which what is missing is equal to, and for documents and arrays, whose parts may be equal in
    /// many ways.
    pub(super) fn of(value: Raw<'_>) -> Option<Self> {
        Some(match value.kind {
            kind::STRING | kind::SYMBOL => Self::Text(text(value.bytes).ok()?.into()),
            kind::DOUBLE | kind::INT32 | kind::INT64 | kind::DECIMAL => {
                Self::Number(Number::read(value).ok()??.truncated())
            }
            kind::BOOLEAN | kind::OBJECT_ID | kind::DATE | kind::TIMESTAMP | kind::BINARY => {
                Self::Other(rank(value.kind), value.bytes.into())
            }
            _ => return None,
        })
    }
}

/// Metadata as the register writes it.
pub(super) struct Plain<'a> {
    /// The application version, if there is one.
    pub(super) application_version: Option<Raw<'a>>,
    metadata: Option<Raw<'a>>,
}

/// The document, if it is one that dependencies and requirements hold for: its metadata is missing or an array of
/// documents whose first field is a string `key`, and its application version is no array or document.
pub(super) fn plain(document: &[u8]) -> Result<Option<Plain<'_>>, DocumentError> {
    const KEY: &[u8] = b"\x02key\0";
    let application_version = find(document, b"application_version")?;
    let metadata = find(document, b"metadata")?;
    if application_version.is_some_and(|value| matches!(value.kind, kind::ARRAY | kind::DOCUMENT)) {
        return Ok(None);
    }
    if let Some(metadata) = metadata {
        if metadata.kind != kind::ARRAY {
            return Ok(None);
        }
        for element in Elements::new(metadata.bytes)? {
            let value = element?.value;
            if value.kind != kind::DOCUMENT
                || !value.bytes.get(4..).is_some_and(|fields| fields.starts_with(KEY))
            {
                return Ok(None);
            }
        }
    }
    Ok(Some(Plain {
        application_version,
        metadata,
    }))
}

impl Plain<'_> {
    /// Tells each key, as text, and each value that an equality with that key may be true for.
    pub(super) fn each_value(
        &self,
        mut tell: impl FnMut(&str, Option<Raw<'_>>),
    ) -> Result<(), DocumentError> {
        let Some(metadata) = self.metadata else {
            return Ok(());
        };
        for element in Elements::new(metadata.bytes)? {
            let pair = element?.value.bytes;
            let Some(key) = find(pair, b"key")? else { continue };
            let Ok(key) = std::str::from_utf8(text(key.bytes)?) else {
                continue;
            };
            tell(key, None);
            match find(pair, b"value")? {
                Some(value) if value.kind == kind::ARRAY => {
                    for element in Elements::new(value.bytes)? {
                        tell(key, Some(element?.value));
                    }
                }
                value => tell(key, value),
            }
        }
        Ok(())
    }
}
