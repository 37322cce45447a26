//! Patterns on their own. That they mean what mongod makes of them is tested from Python, with mongod itself.

use super::*;
use crate::limits::MAX_FILTER_PATTERN_SIZE;

fn pattern(source: &str, options: &str) -> Result<Pattern, Problem> {
    Pattern::new(source, options, MAX_FILTER_PATTERN_SIZE).map_err(|error| error.problem)
}

fn matches(source: &str, options: &str, text: &str) -> bool {
    let pattern = pattern(source, options).expect("is accepted");
    pattern.is_match(text.as_bytes())
}

#[test]
fn line_ends_are_those_of_pcre() {
    for (source, options, text, expected) in [
        ("a$", "", "a\n", true),
        ("a$", "", "a\n\n", false),
        (r"a\Z", "", "a\n", true),
        (r"a\z", "", "a\n", false),
        ("a$\n$", "", "a\n", true),
        ("^", "m", "", true),
        ("\n^", "m", "a\n", false),
        ("\n^b", "m", "a\nb", true),
        ("^$", "m", "a\n", false),
        ("^$", "m", "a\n\nb", true),
        ("^$", "m", "\n", true),
        ("a$\nb", "m", "a\nb", true),
        (r"[\s\S]$", "m", "\n", true),
        ("a.b", "", "a\nb", false),
        ("a.b", "s", "a\nb", true),
        ("[^x]b$", "", "\nb", true),
        (r"\B", "", "aéa", false),
    ] {
        assert_eq!(
            matches(source, options, text),
            expected,
            "{source} {options} {text:?}"
        );
    }
}

#[test]
fn case_folds_simply() {
    assert!(matches("київ", "i", "КИЇВ"));
    assert!(matches("k", "i", "\u{212A}"));
    assert!(!matches(r"\w", "i", "\u{212A}"));
    assert!(!matches("ss", "i", "ß"));
    assert!(!matches("в", "i", "\u{1C80}"));
    assert_eq!(
        pattern("\u{10D0}", "i").expect_err("must be refused"),
        Problem::Case
    );
    assert!(matches("\u{10D0}", "", "\u{10D0}"));
}

#[test]
fn what_is_not_the_same_everywhere_is_refused() {
    for (source, problem) in [
        ("(?=a)", Problem::LookAround),
        ("(?<!a)", Problem::LookAround),
        (r"(a)\1", Problem::BackReference),
        (r"\012", Problem::BackReference),
        ("(?>a)", Problem::Group),
        ("(?P<n>a)", Problem::Group),
        ("(*UTF8)a", Problem::Group),
        ("a(?i)b", Problem::Group),
        (r"\C", Problem::Escape),
        (r"\Qa\E", Problem::Escape),
        (r"a\", Problem::Escape),
        (r"\x{D800}", Problem::CodePoint),
        (r"\x{110000}", Problem::CodePoint),
        ("(a", Problem::Parenthesis),
        ("a)", Problem::Parenthesis),
        ("[a", Problem::Class),
        ("[]", Problem::Class),
        ("[[:no:]]", Problem::Class),
        ("[z-a]", Problem::Range),
        ("[a-c-e]", Problem::Range),
        ("*", Problem::NothingToRepeat),
        ("^*", Problem::NothingToRepeat),
        ("a**", Problem::NothingToRepeat),
        ("a++", Problem::Possessive),
        ("a{2}+", Problem::Possessive),
        ("a{", Problem::Brace),
        ("a{,2}", Problem::Brace),
        ("a{2,1}", Problem::Count),
        ("a{1001}", Problem::Count),
        ("(a)*", Problem::EndlessGroup),
        ("(?:a|b)+", Problem::EndlessGroup),
        ("(?x)a#b", Problem::Comment),
        ("(?:(?m:^)a)$", Problem::MixedEnds),
        ("(?:abc){0,500}", Problem::TooLong),
        ("(?:a?){20}", Problem::TooManyChoices),
        ("(?:a|b){17}", Problem::TooManyChoices),
        ("a*a*a*a*a*", Problem::TooManyChoices),
        (r"(?s).*[^a-c][\x{80}-\x{FFF}]{999}", Problem::TooLarge),
    ] {
        assert_eq!(pattern(source, "").err(), Some(problem), "{source}");
    }
    let deep = |groups: usize| format!("{}a{}", "(".repeat(groups), ")".repeat(groups));
    assert!(pattern(&deep(24), "").is_ok());
    assert_eq!(pattern(&deep(25), "").err(), Some(Problem::Depth));
    assert_eq!(pattern("a", "u").err(), Some(Problem::Option));
}

#[test]
fn offsets_are_where_it_was_seen() {
    for (source, offset) in [("ab(?=c)", 4), ("é\\C", 3), ("a**", 2), ("a|b)", 3)] {
        let error = Pattern::new(source, "", MAX_FILTER_PATTERN_SIZE).expect_err("must be refused");
        assert_eq!(error.offset, offset, "{source}");
    }
}

#[test]
fn texts_that_are_not_utf8_match_nothing() {
    let pattern = pattern("a", "").expect("is accepted");
    assert!(pattern.is_match(b"xay"));
    assert!(!pattern.is_match(b"a\xFF"));
}
