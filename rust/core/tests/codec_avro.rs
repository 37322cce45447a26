//! Properties of the Avro reader and writer.
#![allow(missing_docs)]

use kaa_epr_core::avro::{Block, Reader, len_bytes, len_long, len_string, put_bytes, put_long, put_string};
use proptest::prelude::*;

/// Longs of all magnitudes; uniform ones are nearly always ten bytes long.
fn long() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift)
}

proptest! {
    #[test]
    fn longs_come_back(values in prop::collection::vec(long(), 0..20)) {
        let mut bytes = Vec::new();
        for &value in &values {
            let before = bytes.len();
            put_long(&mut bytes, value);
            prop_assert_eq!(bytes.len() - before, len_long(value));
        }
        let mut reader = Reader::new(&bytes);
        for &value in &values {
            prop_assert_eq!(reader.long(), Ok(value));
        }
        prop_assert_eq!(reader.pos(), bytes.len());
    }

    #[test]
    fn strings_and_bytes_come_back(text in ".{0,200}", raw in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = Vec::new();
        put_string(&mut bytes, &text);
        put_bytes(&mut bytes, &raw);
        prop_assert_eq!(bytes.len(), len_string(&text) + len_bytes(raw.len()));
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.string(), Ok(text.as_str()));
        prop_assert_eq!(reader.bytes(), Ok(&raw[..]));
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn a_string_cut_short_is_refused(text in ".{1,50}", cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        put_string(&mut bytes, &text);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Reader::new(&bytes).string().is_err());
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_in_place(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        items in prop::collection::vec(0..5, 1..10),
    ) {
        let mut reader = Reader::new(&bytes);
        for item in items {
            let before = reader.pos();
            let result = match item {
                0 => reader.long().map(drop),
                1 => reader.int().map(drop),
                2 => reader.string().map(drop),
                3 => reader.boolean().map(drop),
                _ => match reader.block() {
                    Ok(Block::Items(items)) => {
                        prop_assert!(items <= reader.rest().len());
                        Ok(())
                    }
                    other => other.map(drop),
                },
            };
            match result {
                Ok(()) => prop_assert!(before < reader.pos() && reader.pos() <= bytes.len()),
                Err(error) => {
                    prop_assert!((before..=bytes.len()).contains(&error.offset));
                    break;
                }
            }
        }
    }
}
