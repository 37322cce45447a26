//! Why bytes were refused: a cause and a place. Text is made only when asked for, and never holds values.

use std::fmt;

/// What is wrong with an Avro datum; the table in `ARCHITECTURE.md`, "Decoding a get".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A varint, length, string, block or boolean runs past the end.
    Truncated,
    /// A varint of more than 10 bytes, or with bits past the 64th.
    Varint,
    /// A string or bytes length below 0.
    NegativeLength,
    /// A string that is not UTF-8.
    Utf8,
    /// An array block that promises more items than bytes remain.
    BlockCount,
    /// What follows `include` is neither nothing nor one byte 0 or 1; or anything follows another message.
    Trailing,
    /// `correlationId` or an endpoint ID is longer than [`crate::limits::MAX_ID_LEN`].
    TooLong,
    /// More than [`crate::limits::MAX_ENDPOINT_IDS`] endpoints in one request.
    TooMany,
}

impl Cause {
    /// The `reasonPhrase` of the 400 that answers such a request.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "Malformed request: payload ends early",
            Self::Varint => "Malformed request: varint too long",
            Self::NegativeLength => "Malformed request: negative length",
            Self::Utf8 => "Malformed request: invalid UTF-8",
            Self::BlockCount => "Malformed request: impossible block count",
            Self::Trailing => "Malformed request: unexpected trailing bytes",
            Self::TooLong => "Malformed request: identifier longer than 4096 bytes",
            Self::TooMany => "Malformed request: more than 1000 endpointIds",
        }
    }

    /// The name of the cause in `ARCHITECTURE.md`, for logs and for the Python side.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Varint => "varint",
            Self::NegativeLength => "negative_length",
            Self::Utf8 => "utf8",
            Self::BlockCount => "block_count",
            Self::Trailing => "trailing",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
        }
    }
}

/// An Avro datum that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub cause: Cause,
    /// Where the offending item starts: for strings and blocks, the first byte of the length or count.
    pub offset: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.cause.name(), self.offset)
    }
}

impl std::error::Error for DecodeError {}

/// Why a stored document cannot be served. Names the part of the document, never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentError {
    /// Lengths, terminators or type codes that are not BSON.
    Malformed,
    /// A string, key or regular expression that is not UTF-8.
    Utf8,
    /// Nested deeper than [`crate::limits::MAX_DEPTH`].
    TooDeep,
    /// Larger than [`crate::limits::MAX_DOCUMENT`].
    TooLarge,
    /// The id is missing or not a string.
    Id,
    /// The version is neither an integer nor an integral double within 64 bits.
    Version,
    /// The application version is present, but not a string.
    ApplicationVersion,
    /// The metadata is neither a document nor an array.
    Metadata,
    /// An element of the metadata array is not a document with a string `key`.
    MetadataElement,
    /// A value that `bson.json_util` itself fails to print; see [`crate::json`].
    Unprintable,
}

impl DocumentError {
    /// A short text for logs, without any value of the document.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed BSON",
            Self::Utf8 => "invalid UTF-8",
            Self::TooDeep => "nested too deeply",
            Self::TooLarge => "too large",
            Self::Id => "the id is not a string",
            Self::Version => "the version is not an integer",
            Self::ApplicationVersion => "the application version is not a string",
            Self::Metadata => "the metadata is neither a document nor an array",
            Self::MetadataElement => "a metadata element is not a document with a string key",
            Self::Unprintable => "a metadata value has no JSON form",
        }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for DocumentError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_ENDPOINT_IDS, MAX_ID_LEN};

    #[test]
    fn reasons_name_the_limits() {
        for (cause, limit) in [(Cause::TooLong, MAX_ID_LEN), (Cause::TooMany, MAX_ENDPOINT_IDS)] {
            assert!(cause.reason().contains(&format!(" than {limit} ")));
        }
    }

    #[test]
    fn errors_tell_cause_and_place() {
        let error = DecodeError {
            cause: Cause::BlockCount,
            offset: 7,
        };
        assert_eq!(error.to_string(), "block_count at byte 7");
        assert_eq!(DocumentError::Id.to_string(), "the id is not a string");
    }
}
