//! A compiled query held against a document. Nothing is allocated; the depth is that of the query.

use super::element::ElementTest;
use super::elements::{Elements, kind, same};
use super::node::{Condition, Field, Node, Test};
use super::path::Look;
use crate::bson::Raw;
use crate::error::DocumentError;

/// Whether the fields of `document` (an array counts as one, its indices as names) are what `node` asks for.
#[inline]
pub(super) fn document(node: &Node, document: &[u8]) -> Result<bool, DocumentError> {
    decide(node, &mut |condition| match &condition.path {
        Some(path) => path.visit(document, condition.test.leaf(), &mut Looking(&condition.test)),
        None => Ok(false),
    })
}

/// As [`document`], for an endpoint's whole document.
#[inline]
pub(super) fn endpoint(node: &Node, view: &View<'_>) -> Result<bool, DocumentError> {
    decide(node, &mut |condition| match (&condition.test, condition.field) {
        (Test::Element(test), Field::Metadata) => view.has_element(test),
        (test, Field::ApplicationVersion) if view.simple_version => test.test(view.application_version),
        (test, _) => match &condition.path {
            Some(path) => path.visit(view.document, test.leaf(), &mut Looking(test)),
            None => Ok(false),
        },
    })
}

/// An endpoint's document whose fields were found once, for all conditions on them.
pub(super) struct View<'a> {
    document: &'a [u8],
    application_version: Option<Raw<'a>>,
    /// It is no array, which would be read by element.
    simple_version: bool,
    /// The metadata, if it is an array.
    metadata: Option<Raw<'a>>,
    /// The elements of the metadata that are documents or arrays; others are none for `$elemMatch`.
    elements: Option<Vec<&'a [u8]>>,
}

impl<'a> View<'a> {
    /// For one filter.
    #[inline]
    pub(super) fn once(document: &'a [u8]) -> Result<Self, DocumentError> {
        let (mut application_version, mut metadata) = (None, None);
        for element in Elements::new(document)? {
            let element = element?;
            let place = match element.name {
                name if same(name, b"metadata") => &mut metadata,
                name if same(name, b"application_version") => &mut application_version,
                _ => continue,
            };
            // Of a field that is stored twice the first counts.
            place.get_or_insert(element.value);
            if metadata.is_some() && application_version.is_some() {
                break;
            }
        }
        Ok(Self {
            document,
            application_version,
            simple_version: application_version.is_none_or(|value| value.kind != kind::ARRAY),
            metadata: metadata.filter(|metadata| metadata.kind == kind::ARRAY),
            elements: None,
        })
    }

    /// For many filters: the elements of the metadata are found once as well.
    pub(super) fn many(document: &'a [u8]) -> Result<Self, DocumentError> {
        let mut view = Self::once(document)?;
        let mut elements = Vec::new();
        if let Some(metadata) = view.metadata {
            for element in Elements::new(metadata.bytes)? {
                let element = element?.value;
                if matches!(element.kind, kind::DOCUMENT | kind::ARRAY) {
                    elements.push(element.bytes);
                }
            }
        }
        view.elements = Some(elements);
        Ok(view)
    }

    #[inline]
    fn has_element(&self, test: &ElementTest) -> Result<bool, DocumentError> {
        match (&self.elements, self.metadata) {
            (Some(elements), _) => {
                for element in elements {
                    if is_element(element, test)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (None, Some(metadata)) => has_element(metadata, test),
            (None, None) => Ok(false),
        }
    }
}

/// Whether a value itself is what `node` asks for.
fn value(node: &Node, value: Raw<'_>) -> Result<bool, DocumentError> {
    decide(node, &mut |condition| condition.test.test(Some(value)))
}

fn decide(
    node: &Node,
    condition: &mut impl FnMut(&Condition) -> Result<bool, DocumentError>,
) -> Result<bool, DocumentError> {
    match node {
        Node::Condition(own) => condition(own),
        Node::Not(inner) => decide(inner, condition).map(|verdict| !verdict),
        Node::All(nodes) => {
            for node in nodes {
                if !decide(node, condition)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Node::Any(nodes) => {
            for node in nodes {
                if decide(node, condition)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// A test looks at values.
struct Looking<'t>(&'t Test);

impl<'a> Look<'a> for Looking<'_> {
    #[inline]
    fn look(&mut self, value: Option<Raw<'a>>) -> Result<bool, DocumentError> {
        self.0.test(value)
    }
}

/// Whether an array has that many elements.
pub(super) fn has_size(array: Raw<'_>, size: u32) -> Result<bool, DocumentError> {
    let mut count = 0;
    for element in Elements::new(array.bytes)? {
        element?;
        count += 1;
        if count > size {
            return Ok(false);
        }
    }
    Ok(count == size)
}

/// Whether an element of an array, itself a document or an array, is what `test` asks for.
pub(super) fn has_element(array: Raw<'_>, test: &ElementTest) -> Result<bool, DocumentError> {
    for element in Elements::new(array.bytes)? {
        let element = element?.value;
        if matches!(element.kind, kind::DOCUMENT | kind::ARRAY) && is_element(element.bytes, test)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the fields of an element are what `test` asks for.
#[inline]
pub(super) fn is_element(element: &[u8], test: &ElementTest) -> Result<bool, DocumentError> {
    let named = match &test.text {
        None => true,
        Some(text) => match text.at_front(element) {
            Some(verdict) => verdict,
            None => document(&text.condition, element)?,
        },
    };
    Ok(named && document(&test.others, element)?)
}

/// Whether an element of an array is itself what `node` asks for.
pub(super) fn has_value(array: Raw<'_>, node: &Node) -> Result<bool, DocumentError> {
    for element in Elements::new(array.bytes)? {
        if value(node, element?.value)? {
            return Ok(true);
        }
    }
    Ok(false)
}
