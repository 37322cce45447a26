//! Where in the text and where in the value reading has come to.

use super::{Fault, Parser, Reason};
use crate::change::fault::Path;

impl Parser<'_> {
    /// The next byte that is not blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// No JSON text has what stands here.
    pub(super) fn syntax(&self) -> Fault {
        Fault::of_text(if self.at < self.bytes.len() {
            Reason::Syntax(self.at)
        } else {
            Reason::EndsEarly
        })
    }

    /// A fault of the value that was begun last.
    pub(super) fn fault(&self, reason: Reason) -> Fault {
        self.fault_at(reason, self.frames.len())
    }

    /// A fault of the innermost array or object.
    pub(super) fn fault_of_frame(&self, reason: Reason) -> Fault {
        self.fault_at(reason, self.frames.len().saturating_sub(1))
    }

    /// A fault of the last element of the frame number `depth`, counted from 1.
    fn fault_at(&self, reason: Reason, depth: usize) -> Fault {
        let mut path = Path::default();
        for (level, frame) in self.frames[..depth].iter().enumerate() {
            if frame.is_object {
                let end = self
                    .frames
                    .get(level + 1)
                    .map_or(self.names.len(), |inner| inner.names);
                let name = self.names[frame.names..end].last();
                path.name(name.map_or("", |name| name.text(&self.out)));
            } else if level == 0 && self.limits.envelope > 0 {
                path = Path::of_item(frame.count.saturating_sub(1));
            } else {
                path.index(frame.count.saturating_sub(1));
            }
        }
        Fault {
            reason,
            path: Some(path.into_text()),
        }
    }
}
