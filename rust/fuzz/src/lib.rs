//! Fuzzing the core's decoders. The bodies are in [`targets`], which `rust/core/tests/codec_fuzz.rs` drives on
//! stable Rust too.

pub mod applied;
pub mod reads;
pub mod reference;
pub mod targets;
