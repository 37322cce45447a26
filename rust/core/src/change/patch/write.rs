//! What is stored of changed metadata.

use super::node::Node;
use super::open::{Content, Open};
use super::work::{Halt, Meter, WRITTEN};
use crate::bson::write;
use crate::change::RawValue;

/// The value as it is stored: bytes that stand somewhere if nothing in it has changed.
pub(super) fn stored(node: &Node<'_>, meter: &mut Meter) -> Result<RawValue, Halt> {
    if let Some(value) = node.raw() {
        return Ok(value.into());
    }
    let mut out = Vec::with_capacity(node.size());
    put_value(node, &mut out, meter)?;
    Ok(RawValue::new(node.kind(), out))
}

/// Appends an array or object that has changed. Recurses as deep as it is.
fn put(open: &Open<'_>, out: &mut Vec<u8>, meter: &mut Meter) -> Result<(), Halt> {
    meter.charge(WRITTEN * open.len() as u64)?;
    let document = write::open(out);
    match &open.content {
        Content::Object(members) => {
            for (name, node) in members.iter() {
                write::put_name(out, node.kind(), name);
                put_value(node, out, meter)?;
            }
        }
        Content::Array(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                write::put_index(out, node.kind(), index);
                put_value(node, out, meter)?;
            }
        }
    }
    write::close(out, document);
    Ok(())
}

fn put_value(node: &Node<'_>, out: &mut Vec<u8>, meter: &mut Meter) -> Result<(), Halt> {
    match node {
        Node::Open(open) if open.raw.is_none() => put(open, out, meter),
        _ => {
            out.extend_from_slice(node.raw().map_or(&[], |value| value.bytes));
            Ok(())
        }
    }
}
