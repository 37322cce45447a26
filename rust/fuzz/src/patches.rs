//! JSON Patch: what is carried out is what a naive reading makes of it, within the bounds, whatever the patch is.

use kaa_epr_core::bson::{Document, Raw, Value, check, documents};
use kaa_epr_core::change::{Item, Metadata, Patch, PatchLimits, Refusal};

const LIMITS: PatchLimits = PatchLimits {
    max_metadata_bytes: 4096,
    max_depth: 12,
    max_work: 50_000,
    seed: 7,
};

/// The first document is the metadata, the first value of the second one is a patch.
pub fn patch(data: &[u8]) {
    let mut documents = documents(data).map_while(Result::ok).filter_map(sound);
    let (Some(metadata), Some(patch)) = (documents.next(), documents.next()) else {
        return;
    };
    let Some(Ok((_, patch))) = patch.raw_elements().next() else {
        return;
    };
    let operations = match Patch::parse(patch) {
        Ok(operations) => operations,
        Err(refusal) => return assert!(matches!(refusal, Refusal::Invalid { .. })),
    };
    let members = members(&metadata);
    let items: Vec<_> = members
        .iter()
        .map(|(name, value)| Item::borrowed(name, *value))
        .collect();
    let patched = operations.apply(&Metadata::new(items), &LIMITS);
    assert!(patched.work <= LIMITS.max_work);
    let root = Tree::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Tree::of(value)))
            .collect(),
    );
    match patched.made {
        Ok(made) => {
            let made: Vec<_> = made
                .iter()
                .map(|(name, value)| (name.clone(), Tree::of(value.as_raw())))
                .collect();
            assert_eq!(naive(root, patch), Ok(Tree::Object(made)));
        }
        Err(Refusal::PatchConflict { index, .. }) => assert_eq!(naive(root, patch), Err(index)),
        Err(Refusal::Invalid { field, .. }) if field == "patch" => {
            assert!(!matches!(naive(root, patch), Ok(Tree::Object(_)) | Err(_)));
        }
        Err(refusal) => assert!(
            matches!(refusal, Refusal::Invalid { .. } | Refusal::TooLarge { .. }),
            "{refusal:?}"
        ),
    }
}

fn sound(document: &[u8]) -> Option<Document<'_>> {
    let document = Document::new(document).ok()?;
    check(&Value::Document(document), 0).ok()?;
    Some(document)
}

/// Members of an object; of a name that is there twice the last value, at the place of the first.
fn members<'d>(document: &Document<'d>) -> Vec<(&'d str, Raw<'d>)> {
    let mut members: Vec<(&str, Raw<'_>)> = Vec::new();
    for (name, value) in document.raw_elements().flatten() {
        match members.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => members.push((name, value)),
        }
    }
    members
}

/// A value, all of it taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tree {
    Plain(u8, Vec<u8>),
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
}

impl Tree {
    fn of(raw: Raw<'_>) -> Self {
        match raw.value().expect("is sound") {
            Value::Document(document) => Self::Object(
                members(&document)
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), Self::of(value)))
                    .collect(),
            ),
            Value::Array(array) => Self::Array(array.raw_values().flatten().map(Self::of).collect()),
            _ => Self::Plain(raw.kind, raw.bytes.to_vec()),
        }
    }

    fn child(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Plain(..) => None,
            Self::Object(members) => {
                let found = members.iter_mut().find(|(known, _)| known == name);
                found.map(|(_, value)| value)
            }
            Self::Array(values) => index(name).and_then(|index| values.get_mut(index)),
        }
    }

    fn find(&mut self, path: &[String]) -> Option<&mut Self> {
        let found = path.iter().try_fold(self, |tree, name| tree.child(name))?;
        Some(found)
    }

    fn add(&mut self, path: &[String], value: Self) -> Option<()> {
        let Some((last, parents)) = path.split_last() else {
            *self = value;
            return Some(());
        };
        match self.find(parents)? {
            Self::Plain(..) => return None,
            Self::Object(members) => match members.iter_mut().find(|(known, _)| known == last) {
                Some(known) => known.1 = value,
                None => members.push((last.clone(), value)),
            },
            Self::Array(values) => {
                let at = if last == "-" {
                    Some(values.len())
                } else {
                    index(last)
                };
                let at = at.filter(|&at| at <= values.len())?;
                values.insert(at, value);
            }
        }
        Some(())
    }

    fn remove(&mut self, path: &[String]) -> Option<Self> {
        let found = self.find(path)?.clone();
        let Some((last, parents)) = path.split_last() else {
            *self = Self::Plain(0x0A, Vec::new());
            return Some(found);
        };
        match self.find(parents)? {
            Self::Plain(..) => return None,
            Self::Object(members) => members.retain(|(known, _)| known != last),
            Self::Array(values) => drop(values.remove(index(last)?)),
        }
        Some(found)
    }
}

fn index(name: &str) -> Option<usize> {
    let index: usize = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

/// What a patch makes of a value, or the index of the operation that does not fit.
fn naive(mut root: Tree, patch: Raw<'_>) -> Result<Tree, usize> {
    let Tree::Array(operations) = Tree::of(patch) else {
        return Err(0);
    };
    for (index, mut operation) in operations.into_iter().enumerate() {
        carry_out(&mut root, &mut operation).ok_or(index)?;
    }
    Ok(root)
}

fn carry_out(root: &mut Tree, operation: &mut Tree) -> Option<()> {
    let path = pointer(operation, "path");
    let value = operation.child("value").cloned();
    match text(operation, "op")?.as_str() {
        "add" => root.add(&path, value?),
        "remove" => root.remove(&path).map(drop),
        "replace" => {
            *root.find(&path)? = value?;
            Some(())
        }
        "test" => equal(root.find(&path)?, &value?).then_some(()),
        "move" => {
            let moved = root.remove(&pointer(operation, "from"))?;
            root.add(&path, moved)
        }
        _ => {
            let copied = root.find(&pointer(operation, "from"))?.clone();
            root.add(&path, copied)
        }
    }
}

fn text(operation: &mut Tree, name: &str) -> Option<String> {
    match operation.child(name) {
        Some(Tree::Plain(_, bytes)) => String::from_utf8(bytes.get(4..bytes.len() - 1)?.to_vec()).ok(),
        _ => None,
    }
}

fn pointer(operation: &mut Tree, name: &str) -> Vec<String> {
    let text = text(operation, name).unwrap_or_default();
    let parts = text.split('/').skip(1);
    parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn equal(left: &Tree, right: &Tree) -> bool {
    match (left, right) {
        (Tree::Array(left), Tree::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Tree::Object(left), Tree::Object(right)) => {
            let same = |(name, value): &(String, Tree)| {
                let other = right.iter().find(|(other, _)| other == name);
                other.is_some_and(|(_, other)| equal(value, other))
            };
            left.len() == right.len() && left.iter().all(same)
        }
        (Tree::Plain(kind, left), Tree::Plain(other, right)) => {
            match (number(*kind, left), number(*other, right)) {
                (Some(left), Some(right)) => left.equals(&right),
                (None, None) => known_as(*kind) == known_as(*other) && left == right,
                _ => false,
            }
        }
        _ => false,
    }
}

const fn known_as(kind: u8) -> u8 {
    match kind {
        0x06 => 0x0A,
        0x0E => 0x02,
        _ => kind,
    }
}

/// An integer, in whichever form it stands, or another double.
enum Number {
    Integer(i128),
    Other(f64),
}

impl Number {
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Other(left), Self::Other(right)) => left == right,
            _ => false,
        }
    }
}

fn number(kind: u8, bytes: &[u8]) -> Option<Number> {
    Some(match kind {
        0x10 => Number::Integer(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        0x12 => Number::Integer(i64::from_le_bytes(bytes.try_into().ok()?).into()),
        0x01 => {
            let double = f64::from_le_bytes(bytes.try_into().ok()?);
            if double.fract() == 0.0 && double.abs() < 1e30 {
                Number::Integer(double as i128)
            } else {
                Number::Other(double)
            }
        }
        _ => return None,
    })
}
