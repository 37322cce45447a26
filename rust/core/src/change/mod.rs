//! Changes of endpoints: from bytes that clients sent to what is stored and told. No I/O, no clock.

mod value;

pub use value::RawValue;
