//! Strings: found to their end, unescaped, and judged as a whole.

use super::{Fault, Parser, Reason};
use crate::bson::write::kind;
use crate::json::plain_length;

/// What a string holds that may not be everywhere.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) half_surrogate: bool,
    pub(super) nul: bool,
}

impl Parser<'_> {
    /// A string value.
    pub(super) fn string(&mut self) -> Result<u8, Fault> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        let marks = self.string_content()?;
        if marks.half_surrogate {
            return Err(self.fault(Reason::Surrogate));
        }
        self.out.push(0);
        // A text is far below 2 GiB.
        let length = (self.out.len() - start - 4) as i32;
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(kind::STRING)
    }

    /// Appends what stands between the quotes. The opening one is here.
    pub(super) fn string_content(&mut self) -> Result<Marks, Fault> {
        self.at += 1;
        let mut marks = Marks::default();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = plain_length(rest);
            self.out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(marks);
                }
                Some(b'\\') => self.escape(&mut marks)?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self, marks: &mut Marks) -> Result<(), Fault> {
        self.at += 1;
        let plain = match self.bytes.get(self.at) {
            Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                return self.by_number(marks);
            }
            _ => return Err(self.syntax()),
        };
        self.at += 1;
        self.out.push(plain);
        Ok(())
    }

    /// Behind `\u`: a character, or half of one of which the other half follows.
    fn by_number(&mut self, marks: &mut Marks) -> Result<(), Fault> {
        let mut code = u32::from(self.four_digits()?);
        if (0xD800..0xDC00).contains(&code) && self.bytes[self.at..].starts_with(br"\u") {
            let before = self.at;
            self.at += 2;
            let low = u32::from(self.four_digits()?);
            if (0xDC00..0xE000).contains(&low) {
                code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            } else {
                self.at = before;
            }
        }
        marks.nul |= code == 0;
        if let Some(character) = char::from_u32(code) {
            let mut bytes = [0; 4];
            self.out
                .extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        } else {
            marks.half_surrogate = true;
        }
        Ok(())
    }

    fn four_digits(&mut self) -> Result<u16, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).copied().and_then(hex_digit);
            code = code << 4 | digit.ok_or_else(|| self.syntax())?;
            self.at += 1;
        }
        Ok(code)
    }
}

const fn hex_digit(byte: u8) -> Option<u16> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as u16),
        b'a'..=b'f' => Some((byte - b'a' + 10) as u16),
        b'A'..=b'F' => Some((byte - b'A' + 10) as u16),
        _ => None,
    }
}
