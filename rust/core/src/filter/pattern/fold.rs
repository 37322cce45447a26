//! Upper and lower case of characters, as the option i takes them: simple case folding.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Adds the other cases of its characters to a class; false if they are not certain.
pub(super) fn fold(class: &mut ClassUnicode) -> bool {
    let uncertain = UNCERTAIN
        .iter()
        .map(|&(start, end)| ClassUnicodeRange::new(start, end));
    let uncertain = ClassUnicode::new(uncertain);
    let mut doubtful = class.clone();
    doubtful.intersect(&uncertain);
    let folded = doubtful.ranges().is_empty() && class.try_case_fold_simple().is_ok();
    class.difference(&uncertain);
    folded
}

/// Characters that have another case in our table and none in that of mongod 6.0, which is of an older version of
/// Unicode: Georgian, Cherokee, some historic and phonetic letters. Nothing folds to them, and they are not folded.
const UNCERTAIN: [(char, char); 26] = [
    ('\u{19B}', '\u{19B}'),
    ('\u{264}', '\u{264}'),
    ('\u{26A}', '\u{26A}'),
    ('\u{282}', '\u{282}'),
    ('\u{29D}', '\u{29D}'),
    ('\u{390}', '\u{390}'),
    ('\u{3B0}', '\u{3B0}'),
    ('\u{10D0}', '\u{10FF}'),
    ('\u{13A0}', '\u{13FD}'),
    ('\u{1C80}', '\u{1CBF}'),
    ('\u{1D8E}', '\u{1D8E}'),
    ('\u{1FD3}', '\u{1FD3}'),
    ('\u{1FE3}', '\u{1FE3}'),
    ('\u{2C2F}', '\u{2C2F}'),
    ('\u{2C5F}', '\u{2C5F}'),
    ('\u{A794}', '\u{A794}'),
    ('\u{A7AE}', '\u{A7AE}'),
    ('\u{A7B2}', '\u{A7F6}'),
    ('\u{AB53}', '\u{ABBF}'),
    ('\u{FB05}', '\u{FB06}'),
    ('\u{104B0}', '\u{104FB}'),
    ('\u{10570}', '\u{105BC}'),
    ('\u{10C80}', '\u{10CF2}'),
    ('\u{10D50}', '\u{10D85}'),
    ('\u{16E40}', '\u{16E7F}'),
    ('\u{1E900}', '\u{1E943}'),
];
