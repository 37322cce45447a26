//! The operations, one by one, on metadata as one object.

use super::equal::equal;
use super::node::Node;
use super::open::{Change, Content, New, Open, digits_of};
use super::pointer::Pointer;
use super::work::{Halt, MEMBER, Meter, NODE, OPERATION, of_bytes};
use super::write::stored;
use super::{Operation, PatchLimits};
use crate::bson::write::kind;
use crate::change::RawValue;
use crate::change::metadata::Metadata;
use crate::change::refusal::Refusal;

/// The metadata that a patch is worked on.
pub(super) struct Working<'v, 'l> {
    root: Node<'v>,
    limits: &'l PatchLimits,
}

impl<'v, 'l> Working<'v, 'l> {
    pub(super) fn new(
        metadata: &'v Metadata<'_>,
        limits: &'l PatchLimits,
        meter: &mut Meter,
    ) -> Result<Self, Refusal> {
        let items = metadata.items();
        for item in items {
            let units = MEMBER + of_bytes(item.key.len());
            meter
                .charge(units)
                .map_err(|halt| halt.about("patch".into(), 0))?;
        }
        let members = items.iter().map(|item| (&*item.key, item.value()));
        Ok(Self {
            root: Node::Open(Box::new(Open::of_members(members, limits.seed))),
            limits,
        })
    }

    /// What all operations make of the metadata.
    pub(super) fn carry_out(
        mut self,
        operations: &'v [Operation],
        meter: &mut Meter,
    ) -> Result<Vec<(String, RawValue)>, Refusal> {
        for (index, operation) in operations.iter().enumerate() {
            self.take(operation, meter).map_err(|halt| halt.at(index))?;
        }
        self.made(meter)
    }

    fn take(&mut self, operation: &'v Operation, meter: &mut Meter) -> Result<(), Halt> {
        meter.charge(OPERATION)?;
        let before = self.size();
        self.change_by(operation, meter)?;
        let (after, most) = (self.size(), self.limits.max_metadata_bytes);
        if after > before && after > most {
            return Err(Halt::TooLarge(after, most));
        }
        Ok(())
    }

    fn change_by(&mut self, operation: &'v Operation, meter: &mut Meter) -> Result<(), Halt> {
        match operation {
            Operation::Add { path, value } => self.put(path, Node::of(value.as_raw()), Change::Insert, meter),
            Operation::Replace { path, value } => {
                self.put(path, Node::of(value.as_raw()), Change::Put, meter)
            }
            Operation::Remove { path } => self.remove(path, meter).map(drop),
            Operation::Move { from, path } if from == path => self.find(path, meter).map(drop),
            Operation::Move { from, path } => {
                let node = self.remove(from, meter)?;
                self.put(path, node, Change::Insert, meter)
            }
            Operation::Copy { from, path } => {
                if from.is_root() && !path.is_root() {
                    self.refuse_nuls(meter)?;
                }
                let found = self.find(from, meter)?;
                // Measured once, and not for each of its copies.
                found.height(meter)?;
                let copied = found.copied(meter)?;
                self.put(path, copied, Change::Insert, meter)
            }
            Operation::Test { path, value } => {
                let seed = self.limits.seed;
                let found = self.find(path, meter)?;
                if equal(found, &Node::of(value.as_raw()), seed, meter)? {
                    Ok(())
                } else {
                    Err(Halt::Misfit("the test failed"))
                }
            }
        }
    }

    fn find(&mut self, path: &Pointer, meter: &mut Meter) -> Result<&mut Node<'v>, Halt> {
        self.root.find(path.parts(), self.limits.seed, meter)
    }

    /// Puts a value where `path` leads to.
    fn put(
        &mut self,
        path: &Pointer,
        mut node: Node<'v>,
        change: fn(New<'v>) -> Change<'v>,
        meter: &mut Meter,
    ) -> Result<(), Halt> {
        if path.is_root() {
            return self.set_root(node, meter);
        }
        let most = self.limits.max_depth as usize;
        // Of a longer pointer it does not matter how long it is.
        let outside = path.parts().take(most + 2).count() - 1;
        let new = New {
            fits: outside + node.height(meter)? as usize <= most,
            is_item: outside == 0,
            node,
        };
        self.change(path, change(new), meter).map(drop)
    }

    fn set_root(&mut self, mut node: Node<'v>, meter: &mut Meter) -> Result<(), Halt> {
        if node.height(meter)? > self.limits.max_depth + 1 {
            return Err(Halt::TooDeep);
        }
        if node.kind() == kind::DOCUMENT {
            node.open(self.limits.seed, meter)?;
        }
        self.root = node;
        Ok(())
    }

    fn remove(&mut self, path: &Pointer, meter: &mut Meter) -> Result<Node<'v>, Halt> {
        if path.is_root() {
            return Ok(std::mem::replace(&mut self.root, Node::null()));
        }
        self.change(path, Change::Take, meter)?.ok_or(Halt::Bug)
    }

    fn change(
        &mut self,
        path: &Pointer,
        change: Change<'v>,
        meter: &mut Meter,
    ) -> Result<Option<Node<'v>>, Halt> {
        let seed = self.limits.seed;
        let (mut parents, last) = path.split_last().ok_or(Halt::Bug)?;
        let parents: &mut dyn Iterator<Item = &str> = &mut parents;
        self.root
            .open(seed, meter)?
            .change(parents, last, change, seed, meter)
    }

    /// Keys of metadata may hold a NUL, names inside of values not.
    fn refuse_nuls(&self, meter: &mut Meter) -> Result<(), Halt> {
        let Node::Open(open) = &self.root else {
            return Ok(());
        };
        let Content::Object(members) = &open.content else {
            return Ok(());
        };
        meter.charge(NODE * members.len() as u64)?;
        if members.iter().any(|(name, _)| name.contains('\0')) {
            return Err(Halt::Nul);
        }
        Ok(())
    }

    /// Bytes as [`Metadata::size`] counts them.
    fn size(&self) -> usize {
        match &self.root {
            Node::Open(open) if matches!(open.content, Content::Object(_)) => {
                12 + open.body() + 22 * open.len() + digits_of(open.len())
            }
            other => 7 + other.size(),
        }
    }

    fn made(&self, meter: &mut Meter) -> Result<Vec<(String, RawValue)>, Refusal> {
        let Node::Open(open) = &self.root else {
            return Err(no_object());
        };
        let Content::Object(members) = &open.content else {
            return Err(no_object());
        };
        let mut made = Vec::with_capacity(members.len());
        for (name, node) in members.iter() {
            let value = stored(node, meter).map_err(|halt| halt.about("patch".into(), 0))?;
            made.push((name.to_owned(), value));
        }
        Ok(made)
    }
}

fn no_object() -> Refusal {
    Refusal::invalid("patch", "what it makes of the metadata is not an object")
}
