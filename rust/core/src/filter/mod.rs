//! Endpoint filters: MongoDB's query language over `metadata`, `application_version` and `_id`, compiled once and
//! held against raw BSON documents. The verdict is that of mongod's `find`.
//!
//! ```text
//! compile    a query → a tree of conditions, bounded; all that is not in the language refused, with its place
//! evaluate   the tree over a document: path → values → test; nothing allocated, time linear in document and query
//! depends    which changes can alter the verdict, and what a document must have to match
//! set        the filters of an application: which of them a change concerns, and what it changes
//! explain    which conditions decided
//! ```

mod compare;
mod compile;
mod depends;
mod element;
mod elements;
mod error;
mod evaluate;
mod explain;
mod limits;
mod node;
mod number;
mod path;
mod pattern;
mod set;
mod wide;

pub use depends::Dependencies;
pub use error::{FilterError, Reason};
pub use explain::{Decision, Explanation};
pub use limits::Limits;
pub use pattern::Problem;
pub use set::{Change, FilterSet};

use crate::error::DocumentError;
use depends::Required;
use evaluate::View;
use node::Node;

/// A compiled query.
#[derive(Debug)]
pub struct Filter {
    root: Node,
    /// Where in the query its conditions stand.
    places: Box<[Box<str>]>,
    dependencies: Dependencies,
    required: Required,
}

impl Filter {
    /// Compiles a query, a document in BSON.
    ///
    /// # Errors
    /// [`FilterError`] for what is not in the language or beyond `limits`.
    pub fn new(query: &[u8], limits: &Limits) -> Result<Self, FilterError> {
        let compiled = compile::compile(query, &limits.bounded())?;
        Ok(Self {
            dependencies: depends::dependencies(&compiled.root),
            required: depends::required(&compiled.root),
            root: compiled.root,
            places: compiled.places.into(),
        })
    }

    /// Whether a stored document matches.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] if what was read of the document is not BSON.
    #[inline]
    pub fn matches(&self, document: &[u8]) -> Result<bool, DocumentError> {
        self.matches_view(&View::once(document)?)
    }

    #[inline]
    fn matches_view(&self, view: &View<'_>) -> Result<bool, DocumentError> {
        evaluate::endpoint(&self.root, view)
    }

    /// What decided whether a stored document matches.
    ///
    /// # Errors
    /// As [`Filter::matches`].
    pub fn explain(&self, document: &[u8]) -> Result<Explanation, DocumentError> {
        // Of a document that has no verdict, none is explained.
        View::once(document)?;
        explain::explain(&self.root, &self.places, document)
    }

    /// Which changes of an endpoint can alter the verdict.
    #[must_use]
    pub const fn dependencies(&self) -> &Dependencies {
        &self.dependencies
    }
}

#[cfg(test)]
mod tests;
