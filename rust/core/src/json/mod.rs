//! BSON to JSON text, exactly as `json.dumps(…, ensure_ascii=False, separators=(",", ":"))` prints what
//! `bson.json_util` (relaxed options, `DATETIME_AUTO`) makes of it. Where that deviates from the Extended JSON
//! specification, json_util is followed: the pure engine uses it, and both engines give the same bytes.
//!
//! What json_util fails to print makes a document unusable: a DBRef with a field named `items` or `__iter__`.

mod check;
mod date;
mod decimal;
mod object;
mod print;
mod text;

pub use check::is_compact_json;
pub use date::put_iso;
pub use object::{Member, Members};
pub use print::{Open, Printable, Printer};
pub use text::{put_escaped, put_string};

pub(crate) use text::{is_plain, plain_length, put_unescaped};
