//! Reading raw BSON as PyMongo's C extension does: the same documents are accepted, the same refused. Writing it.
//!
//! When reading, nothing is copied and nothing allocated. A [`Document`] or [`Array`] is checked for its length and
//! terminator when it is made, its elements when they are read.

mod batch;
mod decimal;
mod document;
mod frame;
mod raw;
mod value;
pub mod write;

pub use batch::{Documents, documents};
pub use decimal::Decimal;
pub(crate) use document::deeper;
pub use document::{Array, Document, check};
pub use frame::{Framed, Frames, frames};
pub use raw::{Raw, RawElements, RawValues};
pub use value::Value;
