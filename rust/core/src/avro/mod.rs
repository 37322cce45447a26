//! Avro 1.11 binary encoding: what the messages of the Kaa RFCs need of it, and nothing else.
//!
//! [`Reader`] treats its input as hostile; the writing functions append to a `Vec<u8>` whose exact growth the
//! `len_*` functions tell in advance.

mod read;
mod write;

pub use read::{Block, Reader};
pub use write::{len_bytes, len_long, len_string, put_boolean, put_bytes, put_long, put_string};

/// The most bytes a varint of 64 bits takes: 9 of 7 bits each and one of a single bit.
pub const MAX_VARINT: usize = 10;
