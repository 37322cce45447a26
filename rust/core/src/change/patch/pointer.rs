//! JSON Pointer (RFC 6901): names and indexes, each behind a slash.

use super::work::Halt;
use std::borrow::Cow;

/// Digits of an index in the largest array that could be.
const MAX_INDEX_DIGITS: usize = 10;

/// A well-formed pointer. Two that lead to the same are the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Box<str>);

impl Pointer {
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        if !(text.is_empty() || text.starts_with('/')) {
            return Err("a JSON Pointer is empty or begins with /");
        }
        let mut escapes = text.split('~').skip(1);
        if !escapes.all(|rest| rest.starts_with(['0', '1'])) {
            return Err("~ must be written ~0, and / inside a name ~1");
        }
        Ok(Self(text.into()))
    }

    /// Whether it leads to the whole.
    pub(super) const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it leads into what `outer` leads to.
    pub(super) fn is_below(&self, outer: &Self) -> bool {
        let rest = self.0.strip_prefix(&*outer.0);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// The parts, still escaped.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// The parts before the last one, still escaped, and the last. None for the whole.
    pub(super) fn split_last(&self) -> Option<(impl Iterator<Item = &str>, &str)> {
        let (parent, last) = self.0.rsplit_once('/')?;
        Some((parent.split('/').skip(1), last))
    }
}

/// The name that a part stands for.
pub(super) fn name(part: &str) -> Cow<'_, str> {
    if part.contains('~') {
        Cow::Owned(part.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(part)
    }
}

/// The index that a name stands for, below `end`.
pub(super) fn index(name: &str, end: usize) -> Result<usize, Halt> {
    let is_index = match name.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < MAX_INDEX_DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let found = if is_index { name.parse().ok() } else { None };
    found.filter(|&index| index < end).ok_or(Halt::NO_ELEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_checked_and_split() {
        for wrong in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert!(Pointer::new(wrong).is_err(), "{wrong}");
        }
        let parts = |text: &str| -> Vec<String> {
            let pointer = Pointer::new(text).expect("is well-formed");
            pointer.parts().map(|part| name(part).into_owned()).collect()
        };
        assert_eq!(parts(""), [""; 0]);
        assert_eq!(parts("/"), [""]);
        assert_eq!(parts("/a//~01/~1~0"), ["a", "", "~1", "/~"]);
        let pointer = Pointer::new("/a/b~1").expect("is well-formed");
        let (parents, last) = pointer.split_last().expect("is not the whole");
        assert_eq!((parents.collect::<Vec<_>>(), last), (vec!["a"], "b~1"));
        assert!(pointer.is_below(&Pointer::new("/a").expect("is well-formed")));
        assert!(!pointer.is_below(&Pointer::new("/a/b").expect("is well-formed")));
        assert!(!pointer.is_below(&pointer));
    }

    #[test]
    fn indexes_have_one_form() {
        assert_eq!(index("0", 1), Ok(0));
        assert_eq!(index("12", 13), Ok(12));
        for wrong in [
            "",
            "-",
            "-1",
            "+1",
            "01",
            "1.0",
            "1e0",
            " 1",
            "١",
            "13",
            "99999999999999999999",
        ] {
            assert_eq!(index(wrong, 13), Err(Halt::NO_ELEMENT), "{wrong}");
        }
    }
}
