//! `MetadataUpdatedEvent` (15/EME): correlationId, timestamp, timeout, appVersionName, endpointId, then the
//! maps removed, added and updated, and originatorReplicaId.

use super::{EndpointEvent, head};
use crate::avro::{Block, Reader};
use crate::error::{Cause, DecodeError};

/// Decodes up to and including `endpointId`.
///
/// # Errors
/// As [`crate::avro::Reader`] has them.
#[inline]
pub(super) fn decode(payload: &[u8]) -> Result<EndpointEvent<'_>, DecodeError> {
    let (mut reader, correlation_id) = head(payload)?;
    reader.string()?; // appVersionName
    Ok(EndpointEvent {
        correlation_id,
        endpoint_id: reader.string()?,
    })
}

/// One item of the event's maps. Values are JSON text; None is JSON null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataChange<'a> {
    /// A key is gone.
    Removed {
        /// The key.
        key: &'a str,
        /// Its value before.
        old: Option<&'a str>,
    },
    /// A key is new.
    Added {
        /// The key.
        key: &'a str,
        /// Its value.
        new: Option<&'a str>,
    },
    /// A key has another value.
    Updated {
        /// The key.
        key: &'a str,
        /// Its value before.
        old: Option<&'a str>,
        /// Its value now.
        new: Option<&'a str>,
    },
}

/// Where in the event the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Removed,
    Added,
    Updated,
    End,
}

/// The whole event, in place: its changes in the order of the payload. That the payload is well-formed to its last
/// byte is known when the iterator has ended without an error; behind an error there is nothing more.
#[derive(Clone, Debug)]
pub struct MetadataChanges<'a> {
    /// The application version after the change; empty: none.
    pub app_version: &'a str,
    reader: Reader<'a>,
    place: Place,
    left_in_block: usize,
}

impl<'a> MetadataChanges<'a> {
    /// Decodes up to the maps.
    ///
    /// # Errors
    /// As [`Reader`] has them.
    pub fn read(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut reader, _) = head(payload)?;
        let app_version = reader.string()?;
        reader.string()?; // endpointId
        Ok(Self {
            app_version,
            reader,
            place: Place::Removed,
            left_in_block: 0,
        })
    }

    /// The next change, or the end of the event.
    fn step(&mut self) -> Result<Option<MetadataChange<'a>>, DecodeError> {
        while self.left_in_block == 0 {
            match self.place {
                Place::End => return Ok(None),
                Place::Removed | Place::Added | Place::Updated => match self.reader.block()? {
                    Block::Items(items) => self.left_in_block = items,
                    Block::End => self.end_of_map()?,
                },
            }
        }
        self.left_in_block -= 1;
        let reader = &mut self.reader;
        let key = reader.string()?;
        let value = nullable_string(reader)?;
        Ok(Some(match self.place {
            Place::Removed => MetadataChange::Removed { key, old: value },
            Place::Added => MetadataChange::Added { key, new: value },
            Place::Updated | Place::End => MetadataChange::Updated {
                key,
                new: value,
                old: nullable_string(reader)?,
            },
        }))
    }

    fn end_of_map(&mut self) -> Result<(), DecodeError> {
        self.place = match self.place {
            Place::Removed => Place::Added,
            Place::Added => Place::Updated,
            Place::Updated | Place::End => {
                self.reader.string()?; // originatorReplicaId
                if !self.reader.rest().is_empty() {
                    return Err(self.reader.error(Cause::Trailing));
                }
                Place::End
            }
        };
        Ok(())
    }
}

impl<'a> Iterator for MetadataChanges<'a> {
    type Item = Result<MetadataChange<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            (self.place, self.left_in_block) = (Place::End, 0);
        }
        step.transpose()
    }
}

/// The union `["null", "string"]`.
fn nullable_string<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, DecodeError> {
    let start = *reader;
    match reader.long()? {
        0 => Ok(None),
        1 => reader.string().map(Some),
        _ => Err(start.error(Cause::Trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// removed {"r": "1"}, added {"k": null, "l": "[]"}, updated {"u": {newValue "2", oldValue null}},
    /// originatorReplicaId "r".
    const WHOLE: [u8; 43] = [
        2, b'c', 2, 0, 2, b'v', 4, b'e', b'1', // the head
        2, 2, b'r', 2, 2, b'1', 0, // removed
        4, 2, b'k', 0, 2, b'l', 2, 4, b'[', b']', 0, // added
        1, 14, 2, b'u', 2, 2, b'2', 0, 0, // updated, with a size in bytes
        2, b'r', 0, 0, 0, 0, 0,
    ];
    const LENGTH: usize = 38;

    fn changes(payload: &[u8]) -> Result<Vec<MetadataChange<'_>>, DecodeError> {
        MetadataChanges::read(payload)?.collect()
    }

    #[test]
    fn golden_bytes() {
        // removed {}, added {"k": null}, updated {}, originatorReplicaId "r".
        let payload = [
            2, b'c', 2, 0, 2, b'v', 4, b'e', b'1', 0, 2, 2, b'k', 0, 0, 0, 2, b'r',
        ];
        let event = EndpointEvent {
            correlation_id: "c",
            endpoint_id: "e1",
        };
        assert_eq!(decode(&payload), Ok(event));
        assert_eq!(decode(&payload[..9]), Ok(event), "the maps are not needed");
        let added = MetadataChange::Added { key: "k", new: None };
        assert_eq!(changes(&payload), Ok(vec![added]));
    }

    #[test]
    fn golden_bytes_of_all_maps() {
        let whole = &WHOLE[..LENGTH];
        assert_eq!(
            MetadataChanges::read(whole).map(|changes| changes.app_version),
            Ok("v")
        );
        let [removed, added, other, updated] = [
            MetadataChange::Removed {
                key: "r",
                old: Some("1"),
            },
            MetadataChange::Added { key: "k", new: None },
            MetadataChange::Added {
                key: "l",
                new: Some("[]"),
            },
            MetadataChange::Updated {
                key: "u",
                old: None,
                new: Some("2"),
            },
        ];
        assert_eq!(changes(whole), Ok(vec![removed, added, other, updated]));
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_refused() {
        for length in 0..LENGTH {
            assert!(changes(&WHOLE[..length]).is_err(), "{length} bytes");
        }
        let error = changes(&WHOLE[..=LENGTH]).expect_err("must be refused");
        assert_eq!((error.cause, error.offset), (Cause::Trailing, LENGTH));
    }

    #[test]
    fn an_unknown_branch_of_a_union_is_refused() {
        let mut payload = WHOLE;
        payload[12] = 4;
        let error = changes(&payload[..LENGTH]).expect_err("must be refused");
        assert_eq!((error.cause, error.offset), (Cause::Trailing, 12));
    }

    #[test]
    fn blocks_promise_no_more_than_remains_and_errors_end_it() {
        let head = &WHOLE[..9];
        let payload = [head, &[0xfe, 0xff, 0xff, 0xff, 0x0f]].concat();
        let mut changes = MetadataChanges::read(&payload).expect("the head is well-formed");
        let error = changes.next().map(|change| change.map_err(|error| error.cause));
        assert_eq!(error, Some(Err(Cause::BlockCount)));
        assert_eq!(changes.next(), None);
    }
}
