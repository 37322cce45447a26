//! What PCRE, which tries one way to match after the other, would make of an expression.

use super::syntax::{Ast, Problem};

/// Characters, classes and groups, repeated ones counted each time. PCRE compiles to at most 64 KiB, in which a
/// group takes about 16 bytes and a range of a class about 8.
const MAX_LENGTH: u64 = 1000;

/// Ways to match that a place of a text may offer. PCRE gives up after 200,000 steps, and a way takes some.
const MAX_CHOICES: u64 = 65_536;
/// What a repetition without bound counts as: three of them one behind the other leave room for texts of 40 characters
/// in each even if none of the others fits at once.
const ENDLESS: u64 = 16;

/// Length and choices of a part.
#[derive(Clone, Copy)]
struct Cost {
    length: u64,
    choices: u64,
}

/// Refuses what PCRE cannot compile, or may give up on for short texts.
pub(super) fn check(ast: &Ast) -> Result<(), Problem> {
    let cost = cost(ast);
    if cost.length > MAX_LENGTH {
        Err(Problem::TooLong)
    } else if cost.choices > MAX_CHOICES {
        Err(Problem::TooManyChoices)
    } else {
        Ok(())
    }
}

/// As deep as groups are.
fn cost(ast: &Ast) -> Cost {
    match ast {
        Ast::Place(_) => Cost {
            length: 1,
            choices: 1,
        },
        Ast::Class(class) => Cost {
            length: class.ranges().len().max(1) as u64,
            choices: 1,
        },
        Ast::Sequence(items) => items.iter().map(cost).fold(
            Cost {
                length: 1,
                choices: 1,
            },
            |a, b| Cost {
                length: a.length.saturating_add(b.length),
                choices: a.choices.saturating_mul(b.choices),
            },
        ),
        Ast::Choice(items) => items.iter().map(cost).fold(
            Cost {
                length: 1,
                choices: 0,
            },
            |a, b| Cost {
                length: a.length.saturating_add(b.length),
                choices: a.choices.saturating_add(b.choices),
            },
        ),
        Ast::Repeat { least, most, inner } => {
            repeated(cost(inner), *least, *most, matches!(**inner, Ast::Class(_)))
        }
    }
}

fn repeated(inner: Cost, least: u32, most: Option<u32>, character: bool) -> Cost {
    let Some(most) = most else {
        return Cost {
            length: inner.length + 1,
            choices: ENDLESS,
        };
    };
    let counts = u64::from(most - least) + 1;
    let length = if character {
        // Written once, with its numbers.
        inner.length.saturating_add(2)
    } else {
        inner
            .length
            .saturating_add(1)
            .saturating_mul(u64::from(most.max(1)))
    };
    Cost {
        length,
        choices: inner.choices.saturating_pow(most).saturating_mul(counts),
    }
}
