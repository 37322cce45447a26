//! Reading a regular expression. Goes one level down for each group, which a limit bounds.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::escape::{Escape, escape};
use super::syntax::{Ast, PatternError, Place, Problem};
use super::{class, fold};

/// Groups in each other. PCRE allows 250.
const MAX_GROUPS: usize = 24;
/// The most that a quantifier can say; PCRE's own limit is 65,535, and long before it what is repeated is too long.
const MAX_COUNT: u32 = 1000;

/// Options that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// i
    pub(super) any_case: bool,
    /// m
    pub(super) lines: bool,
    /// s
    pub(super) dot_all: bool,
    /// x
    pub(super) spaced: bool,
}

impl Flags {
    /// None if a letter is none of `imsx`.
    pub(super) fn from_letters(letters: &str) -> Option<Self> {
        let mut flags = Self::default();
        letters
            .chars()
            .all(|letter| flags.set(letter, true))
            .then_some(flags)
    }

    /// Whether there is such an option.
    fn set(&mut self, letter: char, on: bool) -> bool {
        let flag = match letter {
            'i' => &mut self.any_case,
            'm' => &mut self.lines,
            's' => &mut self.dot_all,
            'x' => &mut self.spaced,
            _ => return false,
        };
        *flag = on;
        true
    }
}

/// What remains of an expression.
pub(super) struct Source<'s> {
    whole: &'s str,
    pub(super) rest: &'s str,
}

type Read<T> = Result<T, PatternError>;

/// Reads an expression.
pub(super) fn parse(source: &str, flags: Flags) -> Read<Ast> {
    let mut source = Source {
        whole: source,
        rest: source,
    };
    let flags = source.leading_flags(flags)?;
    let ast = choice(&mut source, flags, 0)?;
    if source.rest.is_empty() {
        Ok(ast)
    } else {
        source.fail(Problem::Parenthesis)
    }
}

impl Source<'_> {
    pub(super) fn fail<T>(&self, problem: Problem) -> Read<T> {
        let offset = self.whole.len() - self.rest.len();
        Err(PatternError { problem, offset })
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Takes `text`, if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes what the option x lets be ignored: white space, and comments.
    fn skip(&mut self, flags: Flags) -> Read<()> {
        if !flags.spaced {
            return Ok(());
        }
        loop {
            let spaces = ['\t', '\n', '\x0B', '\x0C', '\r', ' '];
            self.rest = self.rest.trim_start_matches(spaces);
            if !self.rest.starts_with('#') {
                return Ok(());
            }
            // mongod puts the whole expression in a group, which a comment without its end would not let end.
            let Some((_, rest)) = self.rest.split_once('\n') else {
                return self.fail(Problem::Comment);
            };
            self.rest = rest;
        }
    }

    /// Options for all of the expression: `(?i)` in front of it.
    fn leading_flags(&mut self, flags: Flags) -> Read<Flags> {
        let (before, mut changed) = (self.rest, flags);
        if self.take("(?") && self.letters(&mut changed)? == ')' {
            return Ok(changed);
        }
        self.rest = before;
        Ok(flags)
    }

    /// Option letters, on and behind a hyphen off, and what ends them.
    fn letters(&mut self, flags: &mut Flags) -> Read<char> {
        let mut on = true;
        loop {
            match self.peek() {
                Some(end @ (':' | ')')) => {
                    self.next();
                    return Ok(end);
                }
                Some('-') if on => on = false,
                Some(letter) if flags.set(letter, on) => {}
                Some('=' | '!' | '<') => return self.fail(Problem::LookAround),
                _ => return self.fail(Problem::Group),
            }
            self.next();
        }
    }
}

/// Alternatives, to the end or to a closing parenthesis. Never a class: PCRE repeats a group in another way than a
/// character, even if it has one character only.
fn choice(source: &mut Source<'_>, flags: Flags, depth: usize) -> Read<Ast> {
    if depth > MAX_GROUPS {
        return source.fail(Problem::Depth);
    }
    let mut choices = vec![sequence(source, flags, depth)?];
    while source.take("|") {
        choices.push(sequence(source, flags, depth)?);
    }
    Ok(match (choices.pop(), choices.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            choices.extend(last);
            Ast::Choice(choices)
        }
    })
}

fn sequence(source: &mut Source<'_>, flags: Flags, depth: usize) -> Read<Ast> {
    let mut items = Vec::new();
    loop {
        source.skip(flags)?;
        match source.peek() {
            None | Some('|' | ')') => return Ok(Ast::Sequence(items)),
            Some('*' | '+' | '?') => return source.fail(Problem::NothingToRepeat),
            Some(_) => {}
        }
        let item = item(source, flags, depth)?;
        source.skip(flags)?;
        items.push(quantified(source, flags, item)?);
    }
}

fn item(source: &mut Source<'_>, flags: Flags, depth: usize) -> Read<Ast> {
    let start = source.rest;
    match source.next() {
        Some('.') => Ok(Ast::Class(class::any(flags.dot_all))),
        Some('^') if flags.lines => Ok(Ast::Place(Place::LineStart)),
        Some('^') => Ok(Ast::Place(Place::Start)),
        Some('$') if flags.lines => Ok(Ast::Place(Place::LineEnd)),
        Some('$') => Ok(Ast::Place(Place::LastLineEnd)),
        Some('(') => group(source, flags, depth),
        Some('[') => class::class(source, flags).map(Ast::Class),
        Some('{') => {
            source.rest = start;
            source.fail(Problem::Brace)
        }
        Some('\\') => match escape(source)? {
            Escape::Character(character) => literal(source, flags, character),
            Escape::Class(class) => Ok(Ast::Class(class)),
            Escape::Place(place) => Ok(Ast::Place(place)),
        },
        Some(character) => literal(source, flags, character),
        None => source.fail(Problem::Escape),
    }
}

fn literal(source: &Source<'_>, flags: Flags, character: char) -> Read<Ast> {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
    if flags.any_case && !fold::fold(&mut class) {
        return source.fail(Problem::Case);
    }
    Ok(Ast::Class(class))
}

/// What stands behind an opening parenthesis.
fn group(source: &mut Source<'_>, flags: Flags, depth: usize) -> Read<Ast> {
    let mut inner = flags;
    if source.rest.starts_with('*') {
        return source.fail(Problem::Group);
    }
    if source.take("?") && source.letters(&mut inner)? == ')' {
        // Options from here on: accepted in front only.
        return source.fail(Problem::Group);
    }
    let ast = choice(source, inner, depth + 1)?;
    if !source.take(")") {
        return source.fail(Problem::Parenthesis);
    }
    Ok(ast)
}

/// `item` with the quantifier that comes next, if one does.
fn quantified(source: &mut Source<'_>, flags: Flags, item: Ast) -> Read<Ast> {
    let (least, most) = match source.peek() {
        Some('*') => (0, None),
        Some('+') => (1, None),
        Some('?') => (0, Some(1)),
        Some('{') => return counted(source, flags, item),
        _ => return Ok(item),
    };
    repeated(source, flags, item, (least, most), 1)
}

/// `item` with a quantifier in braces.
fn counted(source: &mut Source<'_>, flags: Flags, item: Ast) -> Read<Ast> {
    let Some((inside, _)) = source.rest[1..].split_once('}') else {
        return source.fail(Problem::Brace);
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().unwrap_or(u32::MAX))
    };
    let (least, most) = match inside.split_once(',') {
        None => (number(inside), Some(number(inside))),
        Some((least, "")) => (number(least), None),
        Some((least, most)) => (number(least), Some(number(most))),
    };
    let (Some(least), Some(most)) = (least, most.map_or(Some(None), |most| most.map(Some))) else {
        return source.fail(Problem::Brace);
    };
    if most.unwrap_or(least) < least || most.unwrap_or(least) > MAX_COUNT {
        return source.fail(Problem::Count);
    }
    repeated(source, flags, item, (least, most), inside.len() + 2)
}

/// Takes the `length` bytes of a quantifier, and the question mark of a lazy one.
fn repeated(
    source: &mut Source<'_>,
    flags: Flags,
    item: Ast,
    (least, most): (u32, Option<u32>),
    length: usize,
) -> Read<Ast> {
    match (&item, most) {
        (Ast::Place(_), _) => return source.fail(Problem::NothingToRepeat),
        (Ast::Class(_), _) | (_, Some(_)) => {}
        _ => return source.fail(Problem::EndlessGroup),
    }
    source.rest = &source.rest[length..];
    source.take("?");
    source.skip(flags)?;
    match source.peek() {
        Some('+') => source.fail(Problem::Possessive),
        Some('*' | '?' | '{') => source.fail(Problem::NothingToRepeat),
        _ => Ok(Ast::Repeat {
            least,
            most,
            inner: Box::new(item),
        }),
    }
}
