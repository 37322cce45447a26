//! JSON Patch (RFC 6902) over JSON Pointer (RFC 6901) on metadata as they are stored: all of a patch, or nothing.
//!
//! ```text
//! parse.rs     a value to operations            pointer.rs  where they point
//! node.rs      a value while it is changed         open.rs     taken apart where an operation goes
//! members.rs   the members of one object        write.rs    what is stored of it afterwards
//! apply.rs     the operations, one by one       equal.rs    what `test` compares
//! work.rs      what each step costs, and why a patch ends early
//! ```
//!
//! `kaa_epr/register/decide/pure/patch/` is the same in Python: same verdicts, same bytes, same units of work.

mod apply;
mod equal;
mod members;
mod node;
mod open;
mod parse;
mod pointer;
mod work;
mod write;

use super::RawValue;
use super::metadata::Metadata;
use super::refusal::Refusal;
use super::rules::{NO_JSON, Rules, fits, printable};
use crate::bson::Raw;
use crate::limits::MAX_PATCH_WORK;
use apply::Working;
use pointer::Pointer;
use work::Meter;

/// One operation.
#[derive(Clone, Debug)]
enum Operation {
    Add { path: Pointer, value: RawValue },
    Remove { path: Pointer },
    Replace { path: Pointer, value: RawValue },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: RawValue },
}

impl Operation {
    const fn value(&self) -> Option<&RawValue> {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } | Self::Test { value, .. } => Some(value),
            Self::Remove { .. } | Self::Move { .. } | Self::Copy { .. } => None,
        }
    }
}

/// The operations of a patch, in order.
#[derive(Clone, Debug)]
pub struct Patch {
    operations: Vec<Operation>,
    weight: usize,
}

/// What a patch must keep to.
#[derive(Clone, Copy, Debug)]
pub struct PatchLimits {
    /// Bytes of the metadata as stored, behind every operation that makes them larger.
    pub max_metadata_bytes: usize,
    /// Arrays and objects of one metadata value that are inside each other, behind every operation that puts one there.
    pub max_depth: u32,
    /// Units, see [`MAX_PATCH_WORK`].
    pub max_work: u64,
    /// Against names that were chosen to collide.
    pub seed: u64,
}

impl PatchLimits {
    pub(super) const fn of(rules: &Rules, seed: u64) -> Self {
        Self {
            max_metadata_bytes: rules.max_metadata_bytes,
            max_depth: rules.max_depth,
            max_work: MAX_PATCH_WORK,
            seed,
        }
    }
}

/// What a patch came to.
#[derive(Clone, Debug)]
pub struct Patched {
    /// The new metadata, keys in order; values that no operation went into have their bytes.
    pub made: Result<Vec<(String, RawValue)>, Refusal>,
    /// Units of work that it took, at most [`PatchLimits::max_work`].
    pub work: u64,
}

impl Patch {
    /// The operations that a value describes; further members of an operation mean nothing.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for what no document makes valid.
    pub fn parse(patch: Raw<'_>) -> Result<Self, Refusal> {
        let operations = parse::operations(patch)?;
        let weight = patch.bytes.len();
        Ok(Self { operations, weight })
    }

    /// Bytes that it brings.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Carries the operations out on a copy that shares the bytes of what it does not change.
    #[must_use]
    pub fn apply(&self, metadata: &Metadata<'_>, limits: &PatchLimits) -> Patched {
        let mut meter = Meter::new(limits.max_work);
        let made = Working::new(metadata, limits, &mut meter)
            .and_then(|working| working.carry_out(&self.operations, &mut meter));
        Patched {
            made,
            work: meter.spent(),
        }
    }

    /// What is wrong with the values that it brings by themselves.
    pub(super) fn check(&self, rules: &Rules) -> Result<(), Refusal> {
        for (index, operation) in self.operations.iter().enumerate() {
            let Some(value) = operation.value().map(RawValue::as_raw) else {
                continue;
            };
            let field = || format!("patch[{index}].value");
            if !fits(value, rules.max_depth) {
                return Err(Refusal::invalid(field(), "nested too deeply"));
            }
            let (size, most) = (value.bytes.len(), rules.max_metadata_bytes);
            if size > most {
                let reason = format!("takes {size} bytes, at most {most} are stored");
                return Err(Refusal::too_large(field(), reason));
            }
            if !printable(value, &mut Vec::new()) {
                return Err(Refusal::invalid(field(), NO_JSON));
            }
        }
        Ok(())
    }
}
