//! Operands that are numbers, or taken for true or false.

use super::Compilation;
use crate::bson::Raw;
use crate::filter::elements::{Elements, kind, text};
use crate::filter::error::Reason;
use crate::filter::node::{Test, Types};
use crate::filter::number::Number;

/// Whether a value counts as true: all do but false, zero of any type, null and undefined.
pub(super) fn is_true(value: Raw<'_>) -> Compilation<bool> {
    Ok(match value.kind {
        kind::NULL | kind::UNDEFINED => false,
        kind::BOOLEAN => value.bytes != [0],
        _ => Number::read(value)?.is_none_or(|number| number.compare(Number::Integer(0)).is_ne()),
    })
}

/// The operand of `$size`.
pub(super) fn size(value: Raw<'_>) -> Compilation<u32> {
    let number = Number::read(value)?.and_then(Number::as_integer);
    number
        .and_then(|size| i32::try_from(size).ok())
        .and_then(|size| u32::try_from(size).ok())
        .ok_or(Reason::Size)
}

/// The operand of `$mod`: two numbers, their fractions cut off.
pub(super) fn remainder(value: Raw<'_>) -> Compilation<Test> {
    if value.kind != kind::ARRAY {
        return Err(Reason::Remainder);
    }
    let mut numbers = [0; 2];
    let mut elements = Elements::new(value.bytes)?;
    for number in &mut numbers {
        let element = elements.next().ok_or(Reason::Remainder)??;
        *number = Number::read(element.value)?
            .and_then(Number::truncated)
            .ok_or(Reason::Remainder)?;
    }
    match (numbers, elements.next()) {
        ([0, _], _) | (_, Some(_)) => Err(Reason::Remainder),
        ([divisor, remainder], None) => Ok(Test::Remainder { divisor, remainder }),
    }
}

/// The operand of `$type`: a name or number, or a list of such.
pub(super) fn types(value: Raw<'_>) -> Compilation<Types> {
    let mut types = Types::default();
    if value.kind == kind::ARRAY {
        for element in Elements::new(value.bytes)? {
            add_type(element?.value, &mut types)?;
        }
    } else {
        add_type(value, &mut types)?;
    }
    if types.is_empty() {
        return Err(Reason::Type);
    }
    Ok(types)
}

fn add_type(value: Raw<'_>, types: &mut Types) -> Compilation<()> {
    if value.kind == kind::STRING {
        return add_named(text(value.bytes)?, types);
    }
    let code = Number::read(value)?
        .and_then(Number::as_integer)
        .ok_or(Reason::Type)?;
    match code {
        -1 => types.add(kind::MIN_KEY),
        1..=19 | 127 => types.add(code as u8),
        _ => return Err(Reason::Type),
    }
    Ok(())
}

fn add_named(name: &[u8], types: &mut Types) -> Compilation<()> {
    const NUMBERS: [u8; 4] = [kind::DOUBLE, kind::INT32, kind::INT64, kind::DECIMAL];
    const NAMES: [(&[u8], u8); 21] = [
        (b"double", kind::DOUBLE),
        (b"string", kind::STRING),
        (b"object", kind::DOCUMENT),
        (b"array", kind::ARRAY),
        (b"binData", kind::BINARY),
        (b"undefined", kind::UNDEFINED),
        (b"objectId", kind::OBJECT_ID),
        (b"bool", kind::BOOLEAN),
        (b"date", kind::DATE),
        (b"null", kind::NULL),
        (b"regex", kind::REGEX),
        (b"dbPointer", kind::DB_POINTER),
        (b"javascript", kind::CODE),
        (b"symbol", kind::SYMBOL),
        (b"javascriptWithScope", kind::CODE_WITH_SCOPE),
        (b"int", kind::INT32),
        (b"timestamp", kind::TIMESTAMP),
        (b"long", kind::INT64),
        (b"decimal", kind::DECIMAL),
        (b"minKey", kind::MIN_KEY),
        (b"maxKey", kind::MAX_KEY),
    ];
    if name == b"number" {
        NUMBERS.into_iter().for_each(|kind| types.add(kind));
        return Ok(());
    }
    let (_, kind) = NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or(Reason::Type)?;
    types.add(*kind);
    Ok(())
}
