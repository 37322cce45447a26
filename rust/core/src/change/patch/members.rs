//! The members of one object while it is changed: in order, each found and taken out in constant time.

use super::node::Node;
use super::work::Halt;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// A name and its value.
type Member<'v> = (Cow<'v, str>, Node<'v>);

/// Members in the order in which they came; what was taken out leaves its slot empty.
#[derive(Debug)]
pub(super) struct Members<'v> {
    slots: Vec<Option<Member<'v>>>,
    table: HashTable<usize>,
    hasher: FixedState,
}

impl<'v> Members<'v> {
    /// `seed`: not known to those who choose names.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            table: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// The same names with copies of their values.
    pub(super) fn copied(
        &self,
        mut copy: impl FnMut(&Node<'v>) -> Result<Node<'v>, Halt>,
    ) -> Result<Self, Halt> {
        let mut copied = Self {
            slots: Vec::with_capacity(self.len()),
            table: HashTable::new(),
            hasher: self.hasher.clone(),
        };
        let is_full = self.slots.len() == self.len();
        if is_full {
            copied.table = self.table.clone();
        }
        for (name, node) in self.slots.iter().flatten() {
            let node = copy(node)?;
            if is_full {
                copied.slots.push(Some((name.clone(), node)));
            } else {
                copied.set(name.clone(), node);
            }
        }
        Ok(copied)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node<'v>)> {
        let members = self.slots.iter().flatten();
        members.map(|(name, node)| (&**name, node))
    }

    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node<'v>> {
        self.slots.iter_mut().flatten().map(|(_, node)| node)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node<'v>> {
        let slot = self.slot(name)?;
        let (_, node) = self.slots.get(slot)?.as_ref()?;
        Some(node)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node<'v>> {
        let slot = self.slot(name)?;
        let (_, node) = self.slots.get_mut(slot)?.as_mut()?;
        Some(node)
    }

    /// Sets a member, in its place or behind the others; gives what was there.
    pub(super) fn set(&mut self, name: Cow<'v, str>, node: Node<'v>) -> Option<Node<'v>> {
        if let Some(found) = self.get_mut(&name) {
            return Some(std::mem::replace(found, node));
        }
        let (hash, at) = (self.hasher.hash_one(&*name), self.slots.len());
        self.slots.push(Some((name, node)));
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.table
            .insert_unique(hash, at, |&slot| hasher.hash_one(name_in(slots, slot)));
        None
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'v>> {
        let slots = &self.slots;
        let found = self
            .table
            .find_entry(self.hasher.hash_one(name), |&slot| name_in(slots, slot) == name);
        let (slot, _) = found.ok()?.remove();
        let (_, node) = self.slots.get_mut(slot)?.take()?;
        Some(node)
    }

    fn slot(&self, name: &str) -> Option<usize> {
        let is_it = |slot: &usize| name_in(&self.slots, *slot) == name;
        self.table.find(self.hasher.hash_one(name), is_it).copied()
    }
}

fn name_in<'s>(slots: &'s [Option<Member<'_>>], slot: usize) -> &'s str {
    slots
        .get(slot)
        .and_then(Option::as_ref)
        .map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bson::Raw;

    fn node(bytes: &[u8]) -> Node<'_> {
        Node::of(Raw { kind: 0x10, bytes })
    }

    #[test]
    fn members_keep_their_places_until_they_are_taken_out() {
        let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let mut members = Members::new(7);
        for name in &names {
            assert!(members.set(Cow::Borrowed(name), node(&[0; 4])).is_none());
        }
        assert!(members.set(Cow::Borrowed("3"), node(&[1; 4])).is_some());
        for name in names.iter().step_by(2) {
            assert!(members.take(name).is_some());
            assert!(members.take(name).is_none() && members.get(name).is_none());
        }
        assert!(members.set(Cow::Borrowed("0"), node(&[2; 4])).is_none());
        let left: Vec<&str> = members.iter().map(|(name, _)| name).collect();
        let expected: Vec<&str> = names
            .iter()
            .skip(1)
            .step_by(2)
            .map(String::as_str)
            .chain(["0"])
            .collect();
        assert_eq!(left, expected);
        assert_eq!(members.len(), left.len());
        let copied = members.copied(|_| Ok(node(&[3; 4]))).expect("does not fail");
        let names: Vec<&str> = copied.iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected);
        assert!(expected.iter().all(|name| copied.get(name).is_some()));
        let three = members.get("3").expect("is there");
        assert!(matches!(three, Node::Raw { value, .. } if value.bytes == [1; 4]));
    }
}
