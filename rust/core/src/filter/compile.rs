//! From a query to a tree of conditions. What mongod refuses is refused, and all that is not in the language.
//!
//! Recursion is bounded by the depth of the query, which is looked at first.

mod expressions;
mod lists;
mod numbers;
mod operators;

use super::elements::{Elements, kind};
use super::error::{FilterError, Reason};
use super::limits::Limits;
use super::node::{Comparison, Condition, Field, Node, Test};
use super::path::Path;
use crate::bson::{Document, Raw, Value};
use crate::change::RawValue;
use crate::error::DocumentError;

/// Fields of an endpoint's document that filters ask about; others would tell of tokens and of what is under way.
const FIELDS: [&[u8]; 3] = [b"_id", b"application_version", b"metadata"];

/// What became of a query.
pub(super) struct Compiled {
    pub(super) root: Node,
    /// Where the conditions stand in the query.
    pub(super) places: Vec<Box<str>>,
}

/// Compiles a query.
pub(super) fn compile(query: &[u8], limits: &Limits) -> Result<Compiled, FilterError> {
    let mut compiler = Compiler {
        limits,
        place: String::new(),
        places: Vec::new(),
        numbers: 0,
    };
    let root = compiler.whole(query).map_err(|reason| FilterError {
        place: std::mem::take(&mut compiler.place).into(),
        reason,
    })?;
    Ok(Compiled {
        root,
        places: compiler.places,
    })
}

/// What the fields that a query names belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The endpoint.
    Endpoint,
    /// An element of an array.
    Element,
}

struct Compiler<'l> {
    limits: &'l Limits,
    /// Where in the query the compiler is; after an error, where that was met.
    place: String,
    places: Vec<Box<str>>,
    /// Parts of the paths of the `$elemMatch`es around that may name elements of arrays.
    numbers: usize,
}

type Compilation<T = Node> = Result<T, Reason>;

impl Compiler<'_> {
    fn whole(&mut self, query: &[u8]) -> Compilation {
        if query.len() > self.limits.bytes {
            return Err(Reason::Bytes(self.limits.bytes));
        }
        let document = Document::new(query)?;
        check_depth(&Value::Document(document), self.limits.depth, self.limits.depth)?;
        self.query(query, Scope::Endpoint)
    }

    /// Does something that stands at `name` in the query.
    fn within<T>(&mut self, name: &str, what: impl FnOnce(&mut Self) -> Compilation<T>) -> Compilation<T> {
        let length = self.place.len();
        if length > 0 {
            self.place.push('.');
        }
        self.place.push_str(name);
        let done = what(self)?;
        self.place.truncate(length);
        Ok(done)
    }

    /// Fields and logical operators, all of which must hold.
    fn query(&mut self, query: &[u8], scope: Scope) -> Compilation {
        let mut nodes = Vec::new();
        for element in Elements::new(query)? {
            let element = element?;
            let name = text_of(element.name)?;
            let made = self.within(name, |this| {
                if name.starts_with('$') {
                    this.logical(name, element.value, scope)
                } else {
                    this.field(name, element.value, scope).map(Some)
                }
            });
            nodes.extend(made?);
        }
        Ok(all(nodes))
    }

    /// An operator where fields stand; None for a comment.
    fn logical(&mut self, operator: &str, operand: Raw<'_>, scope: Scope) -> Compilation<Option<Node>> {
        let queries = |this: &mut Self| this.queries(operand, scope);
        Ok(Some(match operator {
            "$and" => Node::All(queries(self)?),
            "$or" => Node::Any(queries(self)?),
            "$nor" => not(Node::Any(queries(self)?)),
            "$comment" => return Ok(None),
            _ => return Err(Reason::Operator),
        }))
    }

    fn queries(&mut self, list: Raw<'_>, scope: Scope) -> Compilation<Box<[Node]>> {
        let mut nodes = Vec::new();
        for element in self.list(list)? {
            let element = element?;
            nodes.push(self.within(text_of(element.name)?, |this| {
                if element.value.kind == kind::DOCUMENT {
                    this.query(element.value.bytes, scope)
                } else {
                    Err(Reason::NotQueries)
                }
            })?);
        }
        if nodes.is_empty() {
            return Err(Reason::EmptyList);
        }
        Ok(nodes.into())
    }

    /// What is asked of a field: operators, a regular expression to be matched, or a value to be equal.
    fn field(&mut self, name: &str, asked: Raw<'_>, scope: Scope) -> Compilation {
        let path = Path::new(name).ok_or(Reason::PathName)?;
        if path.names().len() > self.limits.path {
            return Err(Reason::PathLength(self.limits.path));
        }
        let known = path.names().next().is_some_and(|first| FIELDS.contains(&first));
        if scope == Scope::Endpoint && !known {
            return Err(Reason::Field);
        }
        if are_operators(asked, DbRef::Whole)? {
            return self.operators(Some(name), asked.bytes);
        }
        if asked.kind == kind::REGEX {
            return self.regex(Some(name), asked);
        }
        self.comparison(Some(name), Comparison::Equal, asked)
    }

    /// A comparison with an operand of any type that it may have.
    fn comparison(&mut self, path: Option<&str>, comparison: Comparison, operand: Raw<'_>) -> Compilation {
        match operand.kind {
            kind::UNDEFINED => Err(Reason::Undefined),
            kind::REGEX if comparison != Comparison::Equal => Err(Reason::RegexOperand),
            _ => self.condition(path, Test::Compare(comparison, RawValue::from(operand))),
        }
    }

    /// A condition that stands where the compiler is.
    fn condition(&mut self, path: Option<&str>, test: Test) -> Compilation {
        if self.places.len() >= self.limits.conditions {
            return Err(Reason::Conditions(self.limits.conditions));
        }
        let path = path
            .map(|path| Path::new(path).ok_or(Reason::PathName))
            .transpose()?;
        let numbers = self.numbers + path.as_ref().map_or(0, Path::numbers);
        if numbers > self.limits.numbers {
            return Err(Reason::PathNumbers(self.limits.numbers));
        }
        let place =
            u32::try_from(self.places.len()).map_err(|_| Reason::Conditions(self.limits.conditions))?;
        self.places.push(self.place.as_str().into());
        let field = match path.as_ref().and_then(Path::only_name) {
            Some(b"application_version") => Field::ApplicationVersion,
            Some(b"metadata") => Field::Metadata,
            _ => Field::Other,
        };
        Ok(Node::Condition(Condition {
            place,
            path,
            field,
            test,
        }))
    }

    /// The elements of a list that is no longer than the limit.
    fn list<'a>(&self, list: Raw<'a>) -> Compilation<Elements<'a>> {
        if list.kind != kind::ARRAY {
            return Err(Reason::NotAList);
        }
        let elements = Elements::new(list.bytes)?;
        if elements.clone().count() > self.limits.list {
            return Err(Reason::List(self.limits.list));
        }
        Ok(elements)
    }
}

/// All of the nodes.
fn all(mut nodes: Vec<Node>) -> Node {
    match (nodes.pop(), nodes.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            nodes.extend(last);
            Node::All(nodes.into())
        }
    }
}

fn not(node: Node) -> Node {
    Node::Not(Box::new(node))
}

fn text_of(name: &[u8]) -> Compilation<&str> {
    std::str::from_utf8(name).map_err(|_| Reason::Document(DocumentError::Utf8))
}

/// Reads through a value: it is well-formed, and no deeper than `left` more levels.
fn check_depth(value: &Value<'_>, left: usize, most: usize) -> Compilation<()> {
    let deeper = || left.checked_sub(1).ok_or(Reason::Depth(most));
    match value {
        Value::Document(inner) | Value::CodeWithScope { scope: inner, .. } => {
            let left = deeper()?;
            inner
                .elements()
                .try_for_each(|element| check_depth(&element?.1, left, most))
        }
        Value::Array(inner) => {
            let left = deeper()?;
            inner
                .values()
                .try_for_each(|value| check_depth(&value?, left, most))
        }
        _ => Ok(()),
    }
}

/// Which documents are references to other documents, and so values, though a name with `$` comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DbRef {
    /// Those with `$ref` and `$id`.
    Whole,
    /// Those with any field of a reference.
    Part,
}

/// Whether a value is a document of operators, as mongod decides it: by its first name.
fn are_operators(value: Raw<'_>, reference: DbRef) -> Compilation<bool> {
    if value.kind != kind::DOCUMENT {
        return Ok(false);
    }
    let mut first = None;
    let (mut is_ref, mut is_id, mut is_db) = (false, false, false);
    for element in Elements::new(value.bytes)? {
        let name = element?.name;
        first.get_or_insert(name);
        is_ref |= name == b"$ref";
        is_id |= name == b"$id";
        is_db |= name == b"$db";
    }
    let is_reference = match reference {
        DbRef::Whole => is_ref && is_id,
        DbRef::Part => is_ref || is_id || is_db,
    };
    Ok(first.is_some_and(|name| name.starts_with(b"$")) && !is_reference)
}
