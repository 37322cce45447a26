//! An expression as a table: one step for each byte of a text, nothing kept but the state.
//!
//! The engine knows lines by one byte that ends them, which is not enough for two things that PCRE distinguishes: the
//! last newline of a text ends a line but begins none (option m), or is the only one that `$` looks past (without).
//! So the automaton does not see newlines as they are. Bytes that UTF-8 does not have stand for them, chosen so that
//! the engine's line ends are where PCRE's are; see [`Newlines`].

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::look::LookMatcher;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

use super::class;
use super::syntax::{Ast, Place, Problem};

/// What the engine takes for the end of a line.
const LINE_END: u8 = 0xFE;
/// The other byte of a newline that is written as two.
const OTHER: u8 = 0xFF;

/// How the automaton sees newlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newlines {
    /// As they are: no `^` or `$` looks for them.
    Plain,
    /// The last one, if nothing is behind it, as [`LINE_END`]; the others as they are. So the engine's line ends are
    /// the end and the place before a last newline.
    LastApart,
    /// Each as two [`LINE_END`]s, between which no character ends, the last one, if nothing is behind it, as
    /// [`LINE_END`] and [`OTHER`]. So lines end before each, but none begins behind the last.
    Doubled,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Automaton {
    table: dense::DFA<Vec<u32>>,
    start: StateID,
    newlines: Newlines,
}

impl Automaton {
    /// Builds the table, of at most `size` bytes.
    pub(super) fn new(ast: &Ast, size: usize) -> Result<Self, Problem> {
        let newlines = newlines(ast)?;
        let mut lines = LookMatcher::new();
        lines.set_line_terminator(LINE_END);
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(Some(size))
                    .which_captures(thompson::WhichCaptures::None)
                    .look_matcher(lines),
            )
            .build_from_hir(&anywhere(ast, newlines))
            .map_err(|_| Problem::TooLarge)?;
        let table = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .match_kind(MatchKind::All)
                    .accelerate(false)
                    .dfa_size_limit(Some(size))
                    .determinize_size_limit(Some(size)),
            )
            .build_from_nfa(&nfa)
            .map_err(|_| Problem::TooLarge)?;
        let start = table
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .map_err(|_| Problem::TooLarge)?;
        Ok(Self {
            table,
            start,
            newlines,
        })
    }

    /// Whether there is a match anywhere in `text`, which is UTF-8.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let verdict = match (self.newlines, text) {
            (Newlines::LastApart, [before @ .., b'\n']) => self.run(before.iter().chain(&[LINE_END])),
            (Newlines::Doubled, [before @ .., b'\n']) => {
                self.run(before.iter().flat_map(doubled).chain(&[LINE_END, OTHER]))
            }
            (Newlines::Doubled, text) => self.run(text.iter().flat_map(doubled)),
            _ => self.run(text.iter()),
        };
        verdict.unwrap_or_else(|state| self.table.is_match_state(self.table.next_eoi_state(state)))
    }

    /// The verdict, if it is known before the end; else the last state.
    #[inline]
    fn run<'t>(&self, bytes: impl Iterator<Item = &'t u8>) -> Result<bool, StateID> {
        let mut state = self.start;
        for &byte in bytes {
            state = self.table.next_state(state, byte);
            if self.table.is_special_state(state) {
                if self.table.is_match_state(state) {
                    return Ok(true);
                }
                if self.table.is_dead_state(state) {
                    return Ok(false);
                }
            }
        }
        Err(state)
    }
}

/// A byte as [`Newlines::Doubled`] has it.
fn doubled(byte: &u8) -> &[u8] {
    if *byte == b'\n' {
        &[LINE_END, LINE_END]
    } else {
        std::slice::from_ref(byte)
    }
}

/// How newlines must be seen for the places that the expression names.
fn newlines(ast: &Ast) -> Result<Newlines, Problem> {
    let (lines, last) = (
        names(ast, &[Place::LineStart, Place::LineEnd]),
        names(ast, &[Place::LastLineEnd]),
    );
    match (lines, last) {
        (true, true) => Err(Problem::MixedEnds),
        (true, false) => Ok(Newlines::Doubled),
        (false, true) => Ok(Newlines::LastApart),
        (false, false) => Ok(Newlines::Plain),
    }
}

fn names(ast: &Ast, places: &[Place]) -> bool {
    match ast {
        Ast::Place(place) => places.contains(place),
        Ast::Sequence(items) | Ast::Choice(items) => items.iter().any(|item| names(item, places)),
        Ast::Repeat { inner, .. } => names(inner, places),
        Ast::Class(_) => false,
    }
}

/// The expression behind any number of whole characters. (The engine's own way to begin anywhere may begin within a
/// character.)
fn anywhere(ast: &Ast, newlines: Newlines) -> Hir {
    let before = Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: true,
        sub: Box::new(character(&class::any(true), newlines)),
    });
    Hir::concat(vec![before, expression(ast, newlines)])
}

fn expression(ast: &Ast, newlines: Newlines) -> Hir {
    let several = |items: &[Ast]| items.iter().map(|item| expression(item, newlines)).collect();
    match ast {
        Ast::Class(class) => character(class, newlines),
        Ast::Place(place) => Hir::look(match place {
            Place::Start => Look::Start,
            Place::End => Look::End,
            Place::LineStart => Look::StartLF,
            Place::LineEnd | Place::LastLineEnd => Look::EndLF,
            Place::WordEdge => Look::WordAscii,
            Place::NoWordEdge => Look::WordAsciiNegate,
        }),
        Ast::Sequence(items) => Hir::concat(several(items)),
        Ast::Choice(items) => Hir::alternation(several(items)),
        Ast::Repeat { least, most, inner } => Hir::repetition(Repetition {
            min: *least,
            max: *most,
            greedy: true,
            sub: Box::new(expression(inner, newlines)),
        }),
    }
}

/// One character of a class, newlines in all forms that they may have.
fn character(class: &ClassUnicode, newlines: Newlines) -> Hir {
    let newline = ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]);
    let mut common = class.clone();
    common.intersect(&newline);
    let forms: &[&[u8]] = match newlines {
        _ if common.ranges().is_empty() => &[],
        Newlines::Plain => &[],
        Newlines::LastApart => &[&[LINE_END]],
        Newlines::Doubled => &[&[LINE_END, LINE_END], &[LINE_END, OTHER]],
    };
    let mut plain = class.clone();
    if newlines == Newlines::Doubled {
        plain.difference(&newline);
    }
    let mut choices = vec![Hir::class(Class::Unicode(plain))];
    choices.extend(forms.iter().map(|&form| Hir::literal(form)));
    Hir::alternation(choices)
}
