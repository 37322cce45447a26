//! Which conditions decided a verdict, and what they looked at. Allocates as it likes: people ask, not writes.

use super::element::ElementTest;
use super::elements::{Elements, kind};
use super::evaluate;
use super::node::{Condition, Node, Test};
use super::path::{Leaf, Look};
use crate::bson::Raw;
use crate::change::RawValue;
use crate::error::DocumentError;

/// A verdict and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the document matches.
    pub matches: bool,
    /// The conditions that decided, as the query has them: each of those that all had to hold, or the first of them
    /// that did not; each of those of which none held, or the first that did.
    pub decisions: Vec<Decision>,
}

/// One condition that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where it stands in the query.
    pub place: Box<str>,
    /// Whether it held. One below a `$not` or `$nor` is still itself.
    pub holds: bool,
    /// The names that lead to what it looked at last, with dots between them; None if there was nothing to look at.
    pub path: Option<Box<str>>,
    /// What it looked at last.
    pub value: Option<RawValue>,
}

/// Explains the verdict of `root` on a document.
pub(super) fn explain(
    root: &Node,
    places: &[Box<str>],
    document: &[u8],
) -> Result<Explanation, DocumentError> {
    let mut explainer = Explainer {
        places,
        trail: Vec::new(),
        decisions: Vec::new(),
    };
    let matches = explainer.fields(root, document)?;
    Ok(Explanation {
        matches,
        decisions: explainer.decisions,
    })
}

/// Names that lead to a value.
type Trail = Vec<Box<[u8]>>;

struct Explainer<'f> {
    places: &'f [Box<str>],
    /// The names that lead to what is being looked at.
    trail: Trail,
    decisions: Vec<Decision>,
}

impl Explainer<'_> {
    /// Decides about the fields of a document, and notes the conditions that decided.
    fn fields(&mut self, node: &Node, document: &[u8]) -> Result<bool, DocumentError> {
        match node {
            Node::Condition(condition) => self.condition(condition, document),
            Node::Not(inner) => self.fields(inner, document).map(|verdict| !verdict),
            Node::All(nodes) => self.until(nodes, document, false),
            Node::Any(nodes) => self.until(nodes, document, true),
        }
    }

    /// Decides one node after the other until one is `decisive`: then it alone decided, else all did.
    fn until(&mut self, nodes: &[Node], document: &[u8], decisive: bool) -> Result<bool, DocumentError> {
        let before = self.decisions.len();
        for node in nodes {
            let own = self.decisions.len();
            if self.fields(node, document)? == decisive {
                self.decisions.drain(before..own);
                return Ok(decisive);
            }
        }
        Ok(!decisive)
    }

    fn condition(&mut self, condition: &Condition, document: &[u8]) -> Result<bool, DocumentError> {
        let Some(path) = &condition.path else {
            return Ok(false);
        };
        let mut tracing = Tracing {
            test: &condition.test,
            trail: self.trail.clone(),
            last: None,
        };
        let holds = path.visit(document, condition.test.leaf(), &mut tracing)?;
        let last = tracing.last;
        if let (Test::Element(test), Some((trail, Some(value)))) = (&condition.test, &last)
            && value.kind == kind::ARRAY
            && self.element(test, trail, *value)?
        {
            return Ok(holds);
        }
        let (path, value) = last.map_or((None, None), |(trail, value)| {
            (value.map(|_| joined(&trail)), value.map(RawValue::from))
        });
        self.decisions.push(Decision {
            place: self
                .places
                .get(condition.place as usize)
                .cloned()
                .unwrap_or_default(),
            holds,
            path,
            value,
        });
        Ok(holds)
    }

    /// Explains by the element of `array` that matches, or else by the one that has the text asked for; whether there
    /// is one.
    fn element(
        &mut self,
        test: &ElementTest,
        trail: &[Box<[u8]>],
        array: Raw<'_>,
    ) -> Result<bool, DocumentError> {
        let mut named = None;
        for element in Elements::new(array.bytes)? {
            let element = element?;
            if !matches!(element.value.kind, kind::DOCUMENT | kind::ARRAY) {
                continue;
            }
            if evaluate::is_element(element.value.bytes, test)? {
                named = Some(element);
                break;
            }
            if let Some(text) = &test.text
                && evaluate::document(&text.condition, element.value.bytes)?
            {
                named.get_or_insert(element);
            }
        }
        let Some(element) = named else {
            return Ok(false);
        };
        let outside = std::mem::replace(&mut self.trail, trail.to_vec());
        self.trail.push(element.name.into());
        let before = self.decisions.len();
        if let Some(text) = &test.text {
            self.fields(&text.condition, element.value.bytes)?;
        }
        let named = self.decisions.len();
        if !self.fields(&test.others, element.value.bytes)? {
            self.decisions.drain(before..named);
        }
        self.trail = outside;
        Ok(true)
    }
}

fn joined(trail: &[Box<[u8]>]) -> Box<str> {
    let names: Vec<_> = trail.iter().map(|name| String::from_utf8_lossy(name)).collect();
    names.join(".").into()
}

/// Remembers what a test looked at last.
struct Tracing<'t, 'a> {
    test: &'t Test,
    trail: Trail,
    last: Option<(Trail, Option<Raw<'a>>)>,
}

impl<'a> Look<'a> for Tracing<'_, 'a> {
    fn look(&mut self, value: Option<Raw<'a>>) -> Result<bool, DocumentError> {
        // Of an array that is looked at by element and as a whole, the last look tells least, unless it says yes.
        let holds = self.test.test(value)?;
        if holds || self.last.is_none() || self.test.leaf() == Leaf::Whole {
            self.last = Some((self.trail.clone(), value));
        }
        Ok(holds)
    }

    fn enter(&mut self, name: &[u8]) {
        self.trail.push(name.into());
    }

    fn leave(&mut self) {
        self.trail.pop();
    }
}
