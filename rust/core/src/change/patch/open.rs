//! An array or object that an operation went into.

use super::members::Members;
use super::node::Node;
use super::pointer::{index, name};
use super::work::{CONTAINER, ELEMENT, Halt, MEMBER, Meter, NODE, OPEN, STEP, of_bytes, of_moved};
use crate::bson::{Raw, frames, write::kind};
use std::borrow::Cow;

/// An array or object taken apart.
#[derive(Debug)]
pub(super) struct Open<'v> {
    pub(super) content: Content<'v>,
    /// None: nothing in it has changed, and these are its bytes.
    pub(super) raw: Option<Raw<'v>>,
    /// Bytes of names and values: of a member 2 more, of an element 2 and the digits of its index.
    body: usize,
    /// Once it was measured, see [`Node::height`].
    pub(super) height: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Content<'v> {
    Object(Members<'v>),
    Array(Vec<Node<'v>>),
}

/// What happens at the end of a pointer.
pub(super) enum Change<'v> {
    /// `add`
    Insert(New<'v>),
    /// `replace`
    Put(New<'v>),
    /// `remove`
    Take,
}

/// What comes to stand at the end of a pointer.
pub(super) struct New<'v> {
    pub(super) node: Node<'v>,
    /// Whether it is not too high to stand there.
    pub(super) fits: bool,
    /// Whether it is one of the metadata, whose keys may hold a NUL; names inside of values cannot.
    pub(super) is_item: bool,
}

impl<'v> New<'v> {
    /// The value, once the place is known to be there.
    fn judged(self) -> Result<Node<'v>, Halt> {
        if self.fits {
            Ok(self.node)
        } else {
            Err(Halt::TooDeep)
        }
    }
}

impl<'v> Open<'v> {
    /// An object of these members that stands nowhere yet.
    pub(super) fn of_members(items: impl Iterator<Item = (&'v str, Raw<'v>)>, seed: u64) -> Self {
        let mut open = Self::empty(Content::Object(Members::new(seed)));
        for (name, value) in items {
            open.set(Cow::Borrowed(name), Node::of(value));
        }
        open
    }

    const fn empty(content: Content<'v>) -> Self {
        Self {
            content,
            raw: None,
            body: 0,
            height: None,
        }
    }

    /// Takes bytes apart; what is neither array nor object has no locations.
    pub(super) fn of(value: Raw<'v>, seed: u64, meter: &mut Meter) -> Result<Self, Halt> {
        let mut open = match value.kind {
            kind::DOCUMENT => Self::empty(Content::Object(Members::new(seed))),
            kind::ARRAY => Self::empty(Content::Array(Vec::new())),
            _ => return Err(Halt::NO_LOCATION),
        };
        for framed in frames(value.bytes).map_err(|_| Halt::Bug)? {
            let framed = framed.map_err(|_| Halt::Bug)?;
            let node = Node::of(framed.value);
            if node.is_container() {
                meter.charge(CONTAINER)?;
            }
            if let Content::Array(nodes) = &mut open.content {
                meter.charge(ELEMENT)?;
                open.body += 2 + node.size();
                nodes.push(node);
            } else {
                meter.charge(MEMBER + of_bytes(framed.name.len()))?;
                let name = std::str::from_utf8(framed.name).map_err(|_| Halt::Bug)?;
                open.set(Cow::Borrowed(name), node);
            }
        }
        open.raw = Some(value);
        Ok(open)
    }

    /// A copy of what has changed inside.
    pub(super) fn copied(&self, meter: &mut Meter) -> Result<Self, Halt> {
        meter.charge(OPEN + NODE * self.len() as u64)?;
        let content = match &self.content {
            Content::Object(members) => Content::Object(members.copied(|node| node.copied(meter))?),
            Content::Array(nodes) => {
                let copied: Result<_, _> = nodes.iter().map(|node| node.copied(meter)).collect();
                Content::Array(copied?)
            }
        };
        Ok(Self {
            content,
            raw: None,
            body: self.body,
            height: self.height,
        })
    }

    /// Elements or members.
    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Object(members) => members.len(),
            Content::Array(nodes) => nodes.len(),
        }
    }

    /// Bytes of names and values, see the field.
    pub(super) const fn body(&self) -> usize {
        self.body
    }

    /// Bytes of the value as it would be stored.
    pub(super) fn size(&self) -> usize {
        match (self.raw, &self.content) {
            (Some(value), _) => value.bytes.len(),
            (None, Content::Object(_)) => 5 + self.body,
            (None, Content::Array(nodes)) => 5 + self.body + digits_of(nodes.len()),
        }
    }

    /// See [`Node::height`].
    pub(super) fn height(&mut self, meter: &mut Meter) -> Result<u32, Halt> {
        if let Some(height) = self.height {
            return Ok(height);
        }
        meter.charge(NODE * self.len() as u64)?;
        let mut highest = 0;
        match &mut self.content {
            Content::Object(members) => {
                for node in members.nodes_mut() {
                    highest = highest.max(node.height(meter)?);
                }
            }
            Content::Array(nodes) => {
                for node in nodes {
                    highest = highest.max(node.height(meter)?);
                }
            }
        }
        self.height = Some(highest + 1);
        Ok(highest + 1)
    }

    /// What stands there.
    pub(super) fn child(&mut self, name: &str) -> Result<&mut Node<'v>, Halt> {
        match &mut self.content {
            Content::Object(members) => members.get_mut(name).ok_or(Halt::NO_LOCATION),
            Content::Array(nodes) => {
                let at = index(name, nodes.len())?;
                nodes.get_mut(at).ok_or(Halt::NO_ELEMENT)
            }
        }
    }

    /// Carries a change out behind `parents` and `last`; gives what was taken out. Recurses as deep as values are.
    pub(super) fn change(
        &mut self,
        parents: &mut dyn Iterator<Item = &str>,
        last: &str,
        change: Change<'v>,
        seed: u64,
        meter: &mut Meter,
    ) -> Result<Option<Node<'v>>, Halt> {
        let part = parents.next();
        meter.charge(STEP + of_bytes(part.unwrap_or(last).len()))?;
        let taken = if let Some(part) = part {
            let child = self.child(&name(part))?;
            let before = child.size();
            let inner = child.open(seed, meter)?;
            let taken = inner.change(parents, last, change, seed, meter)?;
            let after = inner.size();
            self.body = self.body - before + after;
            taken
        } else {
            self.change_here(&name(last), change, meter)?
        };
        self.raw = None;
        self.height = None;
        Ok(taken)
    }

    fn change_here(
        &mut self,
        name: &str,
        change: Change<'v>,
        meter: &mut Meter,
    ) -> Result<Option<Node<'v>>, Halt> {
        match change {
            Change::Insert(new) => self.insert(name, new, meter).map(|()| None),
            Change::Put(new) => {
                let found = self.child(name)?;
                let node = new.judged()?;
                let (before, after) = (found.size(), node.size());
                *found = node;
                self.body = self.body - before + after;
                Ok(None)
            }
            Change::Take => self.take(name, meter).map(Some),
        }
    }

    fn insert(&mut self, name: &str, new: New<'v>, meter: &mut Meter) -> Result<(), Halt> {
        let Content::Array(nodes) = &mut self.content else {
            if name.contains('\0') && !new.is_item {
                return Err(Halt::Nul);
            }
            self.set(Cow::Owned(name.to_owned()), new.judged()?);
            return Ok(());
        };
        let at = match name {
            "-" => nodes.len(),
            _ => index(name, nodes.len() + 1)?,
        };
        let node = new.judged()?;
        meter.charge(of_moved(nodes.len() - at))?;
        self.body += 2 + node.size();
        nodes.insert(at, node);
        Ok(())
    }

    /// Sets a member of an object, in its place or behind the others.
    fn set(&mut self, name: Cow<'v, str>, node: Node<'v>) {
        let Content::Object(members) = &mut self.content else {
            return;
        };
        self.body += 2 + name.len() + node.size();
        let length = name.len();
        if let Some(old) = members.set(name, node) {
            self.body -= 2 + length + old.size();
        }
    }

    fn take(&mut self, name: &str, meter: &mut Meter) -> Result<Node<'v>, Halt> {
        match &mut self.content {
            Content::Object(members) => {
                let node = members.take(name).ok_or(Halt::NO_LOCATION)?;
                self.body -= 2 + name.len() + node.size();
                Ok(node)
            }
            Content::Array(nodes) => {
                let at = index(name, nodes.len())?;
                meter.charge(of_moved(nodes.len() - 1 - at))?;
                let node = nodes.remove(at);
                self.body -= 2 + node.size();
                Ok(node)
            }
        }
    }
}

/// Digits of the indexes below `count`.
pub(super) const fn digits_of(count: usize) -> usize {
    let (mut digits, mut from) = (count, 10);
    while from < count {
        digits += count - from;
        from *= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_indexes_are_counted() {
        let mut expected = 0;
        for count in 0..2000_usize {
            assert_eq!(digits_of(count), expected);
            expected += count.to_string().len();
        }
    }
}
