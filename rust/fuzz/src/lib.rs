//! Fuzzing the core's decoders. The bodies are in [`targets`], which `rust/core/tests/codec_fuzz` drives on
//! stable Rust too.

pub mod applied;
pub mod filters;
pub mod patches;
pub mod reads;
pub mod reference;
pub mod targets;
