//! What each step of a patch costs, and why a patch ends early.
//!
//! A unit is about what a byte costs elsewhere in a plan: 3 ns here, 100 ns in the pure planner, which counts the same.

use crate::change::refusal::Refusal;

/// An operation, whatever it does.
pub(super) const OPERATION: u64 = 32;
/// A step along a pointer.
pub(super) const STEP: u64 = 16;
/// An element of an array that is read out of bytes.
pub(super) const ELEMENT: u64 = 8;
/// The same of an object.
pub(super) const MEMBER: u64 = 16;
/// An array or object beside what it costs as an element, where it is read or copied.
pub(super) const CONTAINER: u64 = 8;
/// An array or object that is copied and has changed inside.
pub(super) const OPEN: u64 = 32;
/// An element that was read before and is copied, or looked at.
pub(super) const NODE: u64 = 2;
/// Two elements that were read before.
pub(super) const COMPARED: u64 = 12;
/// An element that is written, of an array or object that has changed inside.
pub(super) const WRITTEN: u64 = 8;
/// Elements of an array that are moved by one place for a unit.
const MOVED: usize = 4;
/// Bytes of names and strings that are read or compared for a unit.
const BYTES: usize = 32;

/// Units for so many bytes of names and strings.
pub(super) const fn of_bytes(count: usize) -> u64 {
    (count / BYTES) as u64
}

/// Units for making or closing a gap in an array before so many elements.
pub(super) const fn of_moved(count: usize) -> u64 {
    count.div_ceil(MOVED) as u64
}

/// Counts units up to a bound.
#[derive(Debug)]
pub(super) struct Meter {
    left: u64,
    most: u64,
}

impl Meter {
    pub(super) const fn new(most: u64) -> Self {
        Self { left: most, most }
    }

    /// Before something is done.
    #[inline]
    pub(super) fn charge(&mut self, units: u64) -> Result<(), Halt> {
        if let Some(left) = self.left.checked_sub(units) {
            self.left = left;
            Ok(())
        } else {
            self.left = 0;
            Err(Halt::Spent(self.most))
        }
    }

    pub(super) const fn spent(&self) -> u64 {
        self.most - self.left
    }
}

/// Why an operation cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// The document is not as the operation needs it.
    Misfit(&'static str),
    /// More arrays and objects would be inside each other than may be.
    TooDeep,
    /// A name of an object would hold a NUL, where BSON's names end.
    Nul,
    /// The metadata would take so many bytes, of so many that are stored.
    TooLarge(usize, usize),
    /// The patch has made so much work.
    Spent(u64),
    /// What was found to be well-formed is not.
    Bug,
}

impl Halt {
    pub(super) const NO_LOCATION: Self = Self::Misfit("no such location");
    pub(super) const NO_ELEMENT: Self = Self::Misfit("no such array element");

    /// As the refusal of the operation with this index.
    pub(super) fn at(self, index: usize) -> Refusal {
        self.about(format!("patch[{index}]"), index)
    }

    /// As the refusal of something with a name; `index` is that of the operation.
    pub(super) fn about(self, field: String, index: usize) -> Refusal {
        match self {
            Self::Misfit(reason) => Refusal::PatchConflict {
                index,
                reason: reason.into(),
            },
            Self::TooDeep => Refusal::invalid(field, "nested too deeply"),
            Self::Nul => Refusal::invalid(field, "a name holds a NUL character"),
            Self::TooLarge(size, most) => {
                let reason = format!("makes the metadata take {size} bytes, at most {most} are stored");
                Refusal::too_large(field, reason)
            }
            Self::Spent(most) => {
                Refusal::too_large(field, format!("the patch takes more than {most} units of work"))
            }
            Self::Bug => Refusal::Bug,
        }
    }
}
