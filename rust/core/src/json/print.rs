//! Printing values; recursion is bounded by [`crate::limits::MAX_DEPTH`].

use super::date::put_datetime;
use super::decimal::put_decimal;
use super::object::{Member, Members, dbref_order, dict_order, has_duplicates, hides_a_method};
use super::text::{put_base64, put_double, put_hex, put_integer, put_string};
use crate::bson::{Array, Document, Value};
use crate::error::DocumentError;

/// Whether `bson.json_util` prints a value too; a caller that meets false must not use the text.
///
/// Not an error at once, since a repeated key may still replace the value, as it does in Python.
pub type Printable = bool;

/// Converts BSON to JSON text, appending it to `out`.
#[derive(Debug, Default)]
pub struct Printer<'a> {
    /// The text so far.
    pub out: String,
    /// A stack: the members of every object that is open, outermost first.
    members: Vec<Member<'a>>,
}

impl<'a> Printer<'a> {
    /// A printer with room for about so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
            members: Vec::with_capacity(16),
        }
    }

    /// Appends a value. `level` is that of the document which the value is in.
    ///
    /// # Errors
    /// What reading the value has.
    pub fn value(&mut self, value: &Value<'a>, level: u32) -> Result<Printable, DocumentError> {
        let out = &mut self.out;
        match *value {
            Value::Document(document) => return self.document(document, level, true),
            Value::Array(array) => return self.array(array, level),
            Value::CodeWithScope { code, scope } => return self.code_with_scope(code, scope, level),
            Value::Double(double) => put_any_double(out, double),
            Value::String(text) => put_string(out, text),
            Value::Binary { subtype, bytes } => put_binary(out, subtype, bytes),
            Value::Null => out.push_str("null"),
            Value::ObjectId(ref id) => put_object_id(out, id),
            Value::Boolean(boolean) => out.push_str(if boolean { "true" } else { "false" }),
            Value::DateTime(unix_ms) => put_datetime(out, unix_ms),
            Value::Regex { pattern, options } => put_regex(out, pattern, options),
            Value::DbPointer { collection, ref id } => put_pointer(out, collection, id),
            Value::Code(code) => put_code(out, code),
            Value::Int32(integer) => put_integer(out, integer),
            Value::Int64(integer) => put_integer(out, integer),
            Value::Timestamp { time, increment } => put_timestamp(out, time, increment),
            Value::Decimal128(bits) => put_number_decimal(out, bits),
            Value::MinKey => out.push_str(r#"{"$minKey":1}"#),
            Value::MaxKey => out.push_str(r#"{"$maxKey":1}"#),
        }
        Ok(true)
    }

    fn array(&mut self, array: Array<'a>, level: u32) -> Result<Printable, DocumentError> {
        let level = crate::bson::deeper(level)?;
        let mut printable = true;
        self.out.push('[');
        for (index, value) in array.values().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            printable &= self.value(&value?, level)?;
        }
        self.out.push(']');
        Ok(printable)
    }

    fn code_with_scope(
        &mut self,
        code: &'a str,
        scope: Document<'a>,
        level: u32,
    ) -> Result<Printable, DocumentError> {
        self.out.push_str(r#"{"$code":"#);
        put_string(&mut self.out, code);
        self.out.push_str(r#","$scope":"#);
        // PyMongo's C decoder does not look for DBRefs here.
        let printable = self.document(scope, level, false)?;
        self.out.push('}');
        Ok(printable)
    }

    fn document(
        &mut self,
        document: Document<'a>,
        level: u32,
        may_be_dbref: bool,
    ) -> Result<Printable, DocumentError> {
        let open = self.open();
        let level = crate::bson::deeper(level)?;
        for element in document.elements() {
            let (key, value) = element?;
            self.member(&open, key, &value, level)?;
        }
        let printable = self.close(&open, may_be_dbref);
        self.members.truncate(open.members);
        Ok(printable)
    }

    /// Begins an object.
    pub fn open(&mut self) -> Open {
        let open = Open {
            start: self.out.len(),
            members: self.members.len(),
        };
        self.out.push('{');
        open
    }

    /// Appends a member to the object that was opened last. `level` is that of the object.
    ///
    /// # Errors
    /// As [`Printer::value`].
    pub fn member(
        &mut self,
        open: &Open,
        key: &'a str,
        value: &Value<'a>,
        level: u32,
    ) -> Result<(), DocumentError> {
        if self.members.len() > open.members {
            self.out.push(',');
        }
        let start = self.out.len();
        put_string(&mut self.out, key);
        self.out.push(':');
        let printable = self.value(value, level)?;
        let is_str = matches!(
            value,
            Value::String(_) | Value::Code(_) | Value::CodeWithScope { .. }
        );
        let is_null = matches!(value, Value::Null);
        self.members.push(Member {
            key,
            range: start..self.out.len(),
            printable,
            is_str,
            is_null,
        });
        Ok(())
    }

    /// Ends an object: what is printed has every key once, and a DBRef's fields in their order.
    ///
    /// The object's members, as they now stand in the output, are left on the stack; see [`Printer::members`].
    pub fn close(&mut self, open: &Open, may_be_dbref: bool) -> Printable {
        self.out.push('}');
        let members = &self.members[open.members..];
        let may_be_dbref = may_be_dbref && members.iter().any(|member| member.key == "$ref");
        let mut dbref = false;
        if may_be_dbref || has_duplicates(members) {
            let dict = dict_order(members);
            let reference = if may_be_dbref {
                dbref_order(members, &dict)
            } else {
                None
            };
            dbref = reference.is_some();
            self.reorder(open, &reference.unwrap_or(dict));
        }
        let members = &self.members[open.members..];
        let hides_a_method = dbref && hides_a_method(members);
        members.iter().all(|member| member.printable) && !hides_a_method
    }

    /// The members of an object after [`Printer::close`].
    #[must_use]
    pub fn members(&self, open: &Open) -> &Members<'a> {
        self.members.get(open.members..).unwrap_or_default()
    }

    /// Prints the object anew with the given ones of its members.
    fn reorder(&mut self, open: &Open, order: &[usize]) {
        let printed = self.out.split_off(open.start);
        let old = self.members.split_off(open.members);
        self.out.push('{');
        for &at in order {
            let mut member = old[at].clone();
            if self.members.len() > open.members {
                self.out.push(',');
            }
            let start = self.out.len();
            self.out
                .push_str(&printed[member.range.start - open.start..member.range.end - open.start]);
            member.range = start..self.out.len();
            self.members.push(member);
        }
        self.out.push('}');
    }
}

/// An object being printed: where it begins in the output and on the stack of members.
#[derive(Debug)]
pub struct Open {
    start: usize,
    members: usize,
}

fn put_pointer(out: &mut String, collection: &str, id: &[u8; 12]) {
    out.push_str(r#"{"$ref":"#);
    put_string(out, collection);
    out.push_str(r#","$id":"#);
    put_object_id(out, id);
    out.push('}');
}

fn put_code(out: &mut String, code: &str) {
    out.push_str(r#"{"$code":"#);
    put_string(out, code);
    out.push('}');
}

fn put_timestamp(out: &mut String, time: u32, increment: u32) {
    out.push_str(r#"{"$timestamp":{"t":"#);
    put_integer(out, time);
    out.push_str(r#","i":"#);
    put_integer(out, increment);
    out.push_str("}}");
}

fn put_number_decimal(out: &mut String, bits: u128) {
    out.push_str(r#"{"$numberDecimal":""#);
    put_decimal(out, bits);
    out.push_str("\"}");
}

fn put_any_double(out: &mut String, value: f64) {
    if value.is_finite() {
        put_double(out, value);
        return;
    }
    out.push_str(match value {
        f64::INFINITY => r#"{"$numberDouble":"Infinity"}"#,
        f64::NEG_INFINITY => r#"{"$numberDouble":"-Infinity"}"#,
        _ => r#"{"$numberDouble":"NaN"}"#,
    });
}

fn put_binary(out: &mut String, subtype: u8, bytes: &[u8]) {
    out.push_str(r#"{"$binary":{"base64":""#);
    put_base64(out, bytes);
    out.push_str(r#"","subType":""#);
    put_hex(out, subtype);
    out.push_str("\"}}");
}

fn put_object_id(out: &mut String, id: &[u8; 12]) {
    out.push_str(r#"{"$oid":""#);
    id.iter().for_each(|&byte| put_hex(out, byte));
    out.push_str("\"}");
}

/// Options that Python's `re` does not know are dropped, the others come in alphabetical order.
fn put_regex(out: &mut String, pattern: &str, options: &str) {
    out.push_str(r#"{"$regularExpression":{"pattern":"#);
    put_string(out, pattern);
    out.push_str(r#","options":""#);
    "ilmsux"
        .chars()
        .filter(|&option| options.contains(option))
        .for_each(|option| out.push(option));
    out.push_str("\"}}");
}
