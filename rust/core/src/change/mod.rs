//! Changes of endpoints: from bytes that clients sent to what is stored and told. No I/O, no clock.

mod fault;
pub mod parse;
mod value;

pub use fault::{Fault, Reason};
pub use value::RawValue;
