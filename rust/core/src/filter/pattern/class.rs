//! Character classes. Those with names are of ASCII characters, whatever the text is.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::escape::{Escape, in_class};
use super::fold;
use super::parse::{Flags, Source};
use super::syntax::{PatternError, Problem};

fn of(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(
        ranges
            .iter()
            .map(|&(start, end)| ClassUnicodeRange::new(start, end)),
    )
}

/// What a dot matches.
pub(super) fn any(newline: bool) -> ClassUnicode {
    let mut class = of(&[('\n', '\n')]);
    if newline {
        class = of(&[]);
    }
    class.negate();
    class
}

/// `\d`, `\w`, `\s`, and the others in capitals.
pub(super) fn escaped(letter: char) -> ClassUnicode {
    let mut class = match letter.to_ascii_lowercase() {
        'd' => of(&[('0', '9')]),
        'w' => of(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => of(&[('\t', '\r'), (' ', ' ')]),
    };
    if letter.is_ascii_uppercase() {
        class.negate();
    }
    class
}

/// A class with a POSIX name.
fn named(name: &str, any_case: bool) -> Option<ClassUnicode> {
    Some(match name {
        "alpha" => of(&[('A', 'Z'), ('a', 'z')]),
        "lower" | "upper" if any_case => of(&[('A', 'Z'), ('a', 'z')]),
        "lower" => of(&[('a', 'z')]),
        "upper" => of(&[('A', 'Z')]),
        "alnum" => of(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "ascii" => of(&[('\0', '\x7F')]),
        "blank" => of(&[('\t', '\t'), (' ', ' ')]),
        "cntrl" => of(&[('\0', '\x1F'), ('\x7F', '\x7F')]),
        "digit" => of(&[('0', '9')]),
        "graph" => of(&[('!', '~')]),
        "print" => of(&[(' ', '~')]),
        "punct" => of(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "space" => of(&[('\t', '\r'), (' ', ' ')]),
        "word" => of(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        "xdigit" => of(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        _ => return None,
    })
}

/// One thing in a class.
enum Item {
    /// May begin a range.
    Character(char),
    Class(ClassUnicode),
}

/// Reads a class whose opening bracket was taken.
pub(super) fn class(source: &mut Source<'_>, flags: Flags) -> Result<ClassUnicode, PatternError> {
    let negated = source.take("^");
    // Characters have other cases with the option i, classes in a class have not.
    let (mut characters, mut classes) = (ClassUnicode::empty(), ClassUnicode::empty());
    if source.rest.starts_with([':', '.', '=']) {
        return source.fail(Problem::Class);
    }
    let mut first = true;
    while first || !source.take("]") {
        match item(source, flags)? {
            Item::Class(class) => classes.union(&class),
            Item::Character(start) => characters.push(range(source, flags, start)?),
        }
        first = false;
    }
    if flags.any_case && !fold::fold(&mut characters) {
        return source.fail(Problem::Case);
    }
    characters.union(&classes);
    if negated {
        characters.negate();
    }
    Ok(characters)
}

fn item(source: &mut Source<'_>, flags: Flags) -> Result<Item, PatternError> {
    match source.next() {
        None => source.fail(Problem::Class),
        Some('[') if source.rest.starts_with([':', '.', '=']) => posix(source, flags),
        Some('\\') => Ok(match in_class(source)? {
            Escape::Character(character) => Item::Character(character),
            Escape::Class(class) => Item::Class(class),
            Escape::Place(_) => return source.fail(Problem::Escape),
        }),
        Some(character) => Ok(Item::Character(character)),
    }
}

/// `[:name:]` or `[:^name:]`, whose opening bracket was taken.
fn posix(source: &mut Source<'_>, flags: Flags) -> Result<Item, PatternError> {
    let inside = source
        .rest
        .strip_prefix(':')
        .and_then(|rest| rest.split_once(":]"));
    let class = inside.and_then(|(name, rest)| {
        let negated = name.strip_prefix('^');
        let mut class = named(negated.unwrap_or(name), flags.any_case)?;
        if negated.is_some() {
            class.negate();
        }
        source.rest = rest;
        Some(class)
    });
    match class {
        Some(class) => Ok(Item::Class(class)),
        None => source.fail(Problem::Class),
    }
}

/// The range that begins with `start`, or `start` alone.
fn range(source: &mut Source<'_>, flags: Flags, start: char) -> Result<ClassUnicodeRange, PatternError> {
    let single = ClassUnicodeRange::new(start, start);
    if !source.rest.starts_with('-') || source.rest.starts_with("-]") {
        return Ok(single);
    }
    source.next();
    match item(source, flags)? {
        // Behind a range, another hyphen would be a plain character to PCRE, and an error to others.
        Item::Character(end)
            if end >= start && (!source.rest.starts_with('-') || source.rest.starts_with("-]")) =>
        {
            Ok(ClassUnicodeRange::new(start, end))
        }
        _ => source.fail(Problem::Range),
    }
}
