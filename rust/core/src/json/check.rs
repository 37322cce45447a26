//! Whether text is one JSON value as it is stored: without whitespace, and not nested too deeply.

use super::text::is_plain;
use crate::limits::MAX_EVENT_DEPTH;

/// Whether `text` is exactly one JSON value (RFC 8259) without whitespace outside of strings, with at most
/// [`MAX_EVENT_DEPTH`] arrays and objects open at a time. Lone surrogates may be escaped, repeated keys are not
/// looked for. Does not recurse.
#[must_use]
pub fn is_compact_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    // The value that most metadata is: a plain string.
    if let [b'"', inner @ .., b'"'] = bytes
        && is_plain(inner)
    {
        return true;
    }
    let mut check = Check {
        rest: bytes,
        objects: 0,
        depth: 0,
    };
    check.document().is_some() && check.rest.is_empty()
}

/// What has to come next.
#[derive(Clone, Copy)]
enum Wanted {
    /// A value.
    Value,
    /// A comma and more of what is open, or its end; nothing, if nothing is open.
    More,
}

struct Check<'a> {
    rest: &'a [u8],
    /// A bit for each open array or object, the innermost lowest: 1 for an object.
    objects: u128,
    depth: u32,
}

impl Check<'_> {
    /// Everything; None where it is not JSON.
    fn document(&mut self) -> Option<()> {
        let mut wanted = Wanted::Value;
        loop {
            wanted = match wanted {
                Wanted::Value => self.value()?,
                Wanted::More if self.depth == 0 => return Some(()),
                Wanted::More => self.more()?,
            };
        }
    }

    fn value(&mut self) -> Option<Wanted> {
        match self.rest {
            [b'{', b'}', ..] | [b'[', b']', ..] => self.skip_empty()?,
            [b'{', ..] => {
                self.open(1)?;
                self.key()?;
                return Some(Wanted::Value);
            }
            [b'[', ..] => {
                self.open(0)?;
                return Some(Wanted::Value);
            }
            [b'"', ..] => self.string()?,
            [b'-' | b'0'..=b'9', ..] => self.number()?,
            _ => self.literal()?,
        }
        Some(Wanted::More)
    }

    /// Behind a value in an array or object.
    fn more(&mut self) -> Option<Wanted> {
        let object = self.objects & 1 == 1;
        match (self.byte()?, object) {
            (b',', true) => {
                self.key()?;
                Some(Wanted::Value)
            }
            (b',', false) => Some(Wanted::Value),
            (b'}', true) | (b']', false) => {
                self.objects >>= 1;
                self.depth -= 1;
                Some(Wanted::More)
            }
            _ => None,
        }
    }

    fn open(&mut self, object: u128) -> Option<()> {
        self.byte()?;
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        (self.depth <= MAX_EVENT_DEPTH).then_some(())
    }

    fn skip_empty(&mut self) -> Option<()> {
        self.rest = self.rest.get(2..)?;
        (self.depth < MAX_EVENT_DEPTH).then_some(())
    }

    fn key(&mut self) -> Option<()> {
        self.string()?;
        (self.byte()? == b':').then_some(())
    }

    /// A string; that it is UTF-8 is known.
    fn string(&mut self) -> Option<()> {
        if self.byte()? != b'"' {
            return None;
        }
        loop {
            match self.byte()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = self.rest.get(digits..)?;
        (digits > 0).then_some(())
    }

    fn literal(&mut self) -> Option<()> {
        let rest = self.rest;
        let after = [&b"null"[..], b"true", b"false"]
            .into_iter()
            .find_map(|word| rest.strip_prefix(word));
        self.rest = after?;
        Some(())
    }

    /// Skips one byte if it is one of these.
    fn skip(&mut self, any: &[u8]) -> bool {
        match self.rest {
            [first, rest @ ..] if any.contains(first) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests;
