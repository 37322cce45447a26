//! What a backslash begins.

use regex_syntax::hir::ClassUnicode;

use super::class;
use super::parse::Source;
use super::syntax::{PatternError, Place, Problem};

/// What an escape stands for.
pub(super) enum Escape {
    Character(char),
    Class(ClassUnicode),
    Place(Place),
}

/// Reads an escape whose backslash was taken.
pub(super) fn escape(source: &mut Source<'_>) -> Result<Escape, PatternError> {
    let place = match source.peek() {
        Some('A') => Some(Place::Start),
        Some('z') => Some(Place::End),
        Some('Z') => Some(Place::LastLineEnd),
        Some('b') => Some(Place::WordEdge),
        Some('B') => Some(Place::NoWordEdge),
        _ => None,
    };
    match place {
        Some(place) => {
            source.next();
            Ok(Escape::Place(place))
        }
        None => in_class(source),
    }
}

/// Reads an escape in a class, whose backslash was taken.
pub(super) fn in_class(source: &mut Source<'_>) -> Result<Escape, PatternError> {
    let Some(letter) = source.peek() else {
        return source.fail(Problem::Escape);
    };
    let character = match letter {
        'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
            source.next();
            return Ok(Escape::Class(class::escaped(letter)));
        }
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'f' => '\x0C',
        'e' => '\x1B',
        'a' => '\x07',
        'b' => '\x08',
        'x' => return hexadecimal(source),
        '0'..='9' => return source.fail(Problem::BackReference),
        _ if letter.is_ascii_alphabetic() || !letter.is_ascii() => return source.fail(Problem::Escape),
        _ => letter,
    };
    source.next();
    Ok(Escape::Character(character))
}

/// `\xhh` or `\x{h…}`.
fn hexadecimal(source: &mut Source<'_>) -> Result<Escape, PatternError> {
    let behind = &source.rest[1..];
    let (digits, length) = match behind.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
        Some((digits, _)) if digits.len() <= 6 => (digits, digits.len() + 3),
        Some(_) => return source.fail(Problem::CodePoint),
        None => (behind.get(..2).unwrap_or(""), 3),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return source.fail(Problem::Escape);
    }
    let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    let Some(character) = character else {
        return source.fail(Problem::CodePoint);
    };
    source.rest = &source.rest[length..];
    Ok(Escape::Character(character))
}
