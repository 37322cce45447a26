//! From a value to operations.

use super::Operation;
use super::pointer::Pointer;
use crate::bson::{Array, Document, Raw, Value};
use crate::change::RawValue;
use crate::change::refusal::Refusal;
use crate::limits::MAX_PATCH_OPERATIONS;

/// What an operation may be made of; of a member that is there twice the last counts.
#[derive(Default)]
struct Members<'p> {
    op: Option<Raw<'p>>,
    path: Option<Raw<'p>>,
    from: Option<Raw<'p>>,
    value: Option<Raw<'p>>,
}

pub(super) fn operations(patch: Raw<'_>) -> Result<Vec<Operation>, Refusal> {
    let Ok(Value::Array(array)) = patch.value() else {
        return Err(Refusal::invalid("patch", "must be an array of operations"));
    };
    if count(&array) > MAX_PATCH_OPERATIONS {
        let reason = format!("more than {MAX_PATCH_OPERATIONS} operations");
        return Err(Refusal::invalid("patch", reason));
    }
    let items = array.raw_values().enumerate();
    items
        .map(|(index, item)| match item.map(Raw::value) {
            Ok(Ok(Value::Document(document))) => operation(&document, index),
            _ => Err(Refusal::invalid(format!("patch[{index}]"), "must be an object")),
        })
        .collect()
}

/// Operations, no more of them counted than tell that there are too many.
fn count(array: &Array<'_>) -> usize {
    array.raw_values().take(MAX_PATCH_OPERATIONS + 1).count()
}

fn operation(document: &Document<'_>, index: usize) -> Result<Operation, Refusal> {
    let mut members = Members::default();
    for element in document.raw_elements() {
        match element.map_err(|_| Refusal::Bug)? {
            ("op", found) => members.op = Some(found),
            ("path", found) => members.path = Some(found),
            ("from", found) => members.from = Some(found),
            ("value", found) => members.value = Some(found),
            _ => {}
        }
    }
    let op = match members.op.map(Raw::value) {
        Some(Ok(Value::String(op @ ("add" | "remove" | "replace" | "move" | "copy" | "test")))) => op,
        _ => {
            let reason = "must be one of add, remove, replace, move, copy, test";
            return Err(Refusal::invalid(format!("patch[{index}].op"), reason));
        }
    };
    let path = pointer(members.path, "path", index)?;
    match op {
        "remove" => Ok(Operation::Remove { path }),
        "add" | "replace" | "test" => {
            let Some(value) = members.value.map(RawValue::from) else {
                return Err(Refusal::invalid(format!("patch[{index}].value"), "is missing"));
            };
            Ok(match op {
                "add" => Operation::Add { path, value },
                "replace" => Operation::Replace { path, value },
                _ => Operation::Test { path, value },
            })
        }
        _ => {
            let from = pointer(members.from, "from", index)?;
            if op == "copy" {
                return Ok(Operation::Copy { from, path });
            }
            if path.is_below(&from) {
                let reason = "a value cannot be moved into itself";
                return Err(Refusal::invalid(format!("patch[{index}].from"), reason));
            }
            Ok(Operation::Move { from, path })
        }
    }
}

fn pointer(member: Option<Raw<'_>>, name: &str, index: usize) -> Result<Pointer, Refusal> {
    let pointer = match member.map(Raw::value) {
        Some(Ok(Value::String(text))) => Pointer::new(text),
        _ => Err("must be a string (a JSON Pointer)"),
    };
    pointer.map_err(|reason| Refusal::invalid(format!("patch[{index}].{name}"), reason))
}
