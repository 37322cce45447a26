//! The core of kaa-epr. See ARCHITECTURE.md for the map; each module opens with what it is for.
#![forbid(unsafe_code)]

pub mod avro;
pub mod bson;
pub mod change;
pub mod entry;
pub mod epmmp;
pub mod error;
pub mod events;
pub mod filter;
pub mod json;
pub mod limits;
pub mod project;

pub mod bugs;
pub mod cache;
pub mod coherence;
pub mod frame;
pub mod gather;
pub mod output;
pub mod park;
pub mod pipeline;
pub mod stats;
