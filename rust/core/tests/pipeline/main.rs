//! The responder as a whole: bytes and documents in, answers and loads out.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod applied;
mod floors;
mod leases;
mod limits;
mod witness;
mod writers;
