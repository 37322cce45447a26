//! Metadata while they are changed: bytes as they stand, taken apart only where an operation goes.

use super::open::{Content, Open};
use super::pointer::name;
use super::work::{CONTAINER, ELEMENT, Halt, Meter, STEP, of_bytes};
use crate::bson::{Raw, frames, write::kind};
use crate::limits::MAX_DEPTH;

/// A value.
#[derive(Debug)]
pub(super) enum Node<'v> {
    /// As it stands in the document or in the patch.
    Raw {
        value: Raw<'v>,
        /// Once it was measured, see [`Node::height`].
        height: Option<u32>,
    },
    /// An array or object that an operation went into.
    Open(Box<Open<'v>>),
}

impl<'v> Node<'v> {
    pub(super) const fn of(value: Raw<'v>) -> Self {
        Self::Raw { value, height: None }
    }

    pub(super) const fn null() -> Self {
        Self::of(Raw {
            kind: kind::NULL,
            bytes: &[],
        })
    }

    /// Its type.
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Raw { value, .. } => value.kind,
            Self::Open(open) => match open.content {
                Content::Object(_) => kind::DOCUMENT,
                Content::Array(_) => kind::ARRAY,
            },
        }
    }

    pub(super) const fn is_container(&self) -> bool {
        matches!(self.kind(), kind::DOCUMENT | kind::ARRAY)
    }

    /// Its bytes, if nothing in it has changed.
    pub(super) const fn raw(&self) -> Option<Raw<'v>> {
        match self {
            Self::Raw { value, .. } => Some(*value),
            Self::Open(open) => open.raw,
        }
    }

    /// Bytes of the value as it would be stored.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Raw { value, .. } => value.bytes.len(),
            Self::Open(open) => open.size(),
        }
    }

    /// Takes it apart, if it was not yet.
    pub(super) fn open(&mut self, seed: u64, meter: &mut Meter) -> Result<&mut Open<'v>, Halt> {
        if let Self::Raw { value, height } = *self {
            let mut open = Open::of(value, seed, meter)?;
            open.height = height;
            *self = Self::Open(Box::new(open));
        }
        match self {
            Self::Open(open) => Ok(open),
            Self::Raw { .. } => Err(Halt::Bug),
        }
    }

    /// What a pointer leads to.
    pub(super) fn find<'p>(
        &mut self,
        parts: impl Iterator<Item = &'p str>,
        seed: u64,
        meter: &mut Meter,
    ) -> Result<&mut Self, Halt> {
        let mut node = self;
        for part in parts {
            meter.charge(STEP + of_bytes(part.len()))?;
            node = node.open(seed, meter)?.child(&name(part))?;
        }
        Ok(node)
    }

    /// Arrays and objects that are inside each other, itself included: 0 for what is neither.
    pub(super) fn height(&mut self, meter: &mut Meter) -> Result<u32, Halt> {
        if !self.is_container() {
            return Ok(0);
        }
        match self {
            Self::Raw { value, height } => {
                if height.is_none() {
                    *height = Some(measured(*value, 0, meter)?);
                }
                height.ok_or(Halt::Bug)
            }
            Self::Open(open) => open.height(meter),
        }
    }

    /// A copy, which shares the bytes of what has not changed.
    pub(super) fn copied(&self, meter: &mut Meter) -> Result<Self, Halt> {
        if self.is_container() && self.raw().is_some() {
            meter.charge(CONTAINER)?;
        }
        let open = match self {
            &Self::Raw { value, height } => return Ok(Self::Raw { value, height }),
            Self::Open(open) => open,
        };
        if let (Some(value), height) = (open.raw, open.height) {
            return Ok(Self::Raw { value, height });
        }
        Ok(Self::Open(Box::new(open.copied(meter)?)))
    }
}

/// As [`Node::height`], of bytes.
fn measured(value: Raw<'_>, outside: u32, meter: &mut Meter) -> Result<u32, Halt> {
    if !matches!(value.kind, kind::DOCUMENT | kind::ARRAY) {
        return Ok(0);
    }
    if outside >= MAX_DEPTH {
        return Err(Halt::TooDeep);
    }
    let mut highest = 0;
    for framed in frames(value.bytes).map_err(|_| Halt::Bug)? {
        meter.charge(ELEMENT)?;
        let framed = framed.map_err(|_| Halt::Bug)?;
        highest = highest.max(measured(framed.value, outside + 1, meter)?);
    }
    Ok(highest + 1)
}
