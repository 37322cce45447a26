//! What may be stored.

use super::metadata::Metadata;
use super::refusal::Refusal;
use super::state::Names;
use crate::bson::{Raw, Value};
use crate::limits::{MAX_ID_LEN, MAX_NAME_LEN};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The section of the settings that counts for all applications.
const ANY_APPLICATION: &str = "*";
/// Why an object is refused that is read back as a reference.
pub(super) const NO_JSON: &str = "a reference with items or __iter__ has no JSON form";

/// Limits of one endpoint; sizes in bytes.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Most metadata keys.
    pub max_keys: usize,
    /// Longest metadata key, in characters.
    pub max_key_length: usize,
    /// Most arrays and objects of one value that are inside each other.
    pub max_depth: u32,
    /// Most metadata as stored.
    pub max_metadata_bytes: usize,
    /// What keys must match, as the settings have it; who made the rules knows how to match.
    pub key_pattern: Option<String>,
    /// Application, or `*`, and the keys that nobody may change.
    pub restricted: Vec<(String, Vec<String>)>,
    /// Whether `+ # / .` are refused in endpoint tokens.
    pub plain_tokens: bool,
}

/// Whether a key matches the pattern of the rules. Asked only where there is one.
pub type Matches<'a> = dyn Fn(&str) -> bool + Sync + 'a;

impl Rules {
    /// Refuses to change the first key of the settings that may not be.
    pub(super) fn judge_touched<'k>(
        &self,
        application: Option<&str>,
        touched: impl Iterator<Item = &'k str> + Clone,
    ) -> Result<(), Refusal> {
        for name in [ANY_APPLICATION, application.unwrap_or_default()] {
            let restricted = self.restricted.iter().filter(|(section, _)| section == name);
            for key in restricted.flat_map(|(_, keys)| keys) {
                if touched.clone().any(|each| each == key) {
                    return Err(Refusal::Restricted(key.clone()));
                }
            }
        }
        Ok(())
    }

    /// Judges new metadata; only the `changed` keys one by one. Gives their size as stored.
    pub(super) fn judge_metadata<'k>(
        &self,
        new: &Metadata<'_>,
        changed: impl Iterator<Item = (&'k str, Raw<'k>)> + Clone,
        matches: &Matches<'_>,
    ) -> Result<usize, Refusal> {
        if new.items().len() > self.max_keys {
            let reason = format!("more than {} keys", self.max_keys);
            return Err(Refusal::too_large("metadata", reason));
        }
        for (key, value) in changed.clone() {
            self.judge_key(key, matches)?;
            if !fits(value, self.max_depth) {
                return Err(Refusal::invalid(path_of(key), "nested too deeply"));
            }
        }
        for (key, value) in changed {
            if key.contains('\0') {
                return Err(Refusal::invalid(path_of(key), "the name holds a NUL character"));
            }
            let mut path = Vec::new();
            if !printable(value, &mut path) {
                return Err(Refusal::invalid(shown_path(&path_of(key), &path), NO_JSON));
            }
        }
        self.judge_size(new.size())
    }

    pub(super) fn judge_size(&self, size: usize) -> Result<usize, Refusal> {
        if size > self.max_metadata_bytes {
            let most = self.max_metadata_bytes;
            let reason = format!("takes {size} bytes, at most {most} are stored");
            return Err(Refusal::too_large("metadata", reason));
        }
        Ok(size)
    }

    /// What an endpoint shall belong to; what it belongs to already is not judged again.
    pub(super) fn judge_names(&self, new: &Names<'_>, old: &Names<'_>) -> Result<(), Refusal> {
        if new.application != old.application {
            judge_name("application", new.application)?;
        }
        if new.app_version != old.app_version {
            judge_name("appVersion.name", new.app_version)?;
        }
        if new.token != old.token {
            judge_name("endpointToken", new.token)?;
            let is_odd = new
                .token
                .is_some_and(|token| token.contains(['+', '#', '/', '.']));
            if is_odd && self.plain_tokens {
                let reason = "the characters + # / . are not allowed";
                return Err(Refusal::invalid("endpointToken", reason));
            }
        }
        Ok(())
    }

    fn judge_key(&self, key: &str, matches: &Matches<'_>) -> Result<(), Refusal> {
        if key.is_empty() {
            return Err(Refusal::invalid("metadata", "a key is empty"));
        }
        // Characters are no more than bytes.
        if key.len() > self.max_key_length && key.chars().count() > self.max_key_length {
            let reason = format!("a key is longer than {} characters", self.max_key_length);
            return Err(Refusal::invalid("metadata", reason));
        }
        match &self.key_pattern {
            Some(pattern) if !matches(key) => {
                let reason = format!("the key does not match {pattern}");
                Err(Refusal::invalid(path_of(key), reason))
            }
            _ => Ok(()),
        }
    }
}

fn path_of(key: &str) -> String {
    format!("metadata.{key}")
}

/// The ID of an endpoint that is made.
pub(super) fn judge_id(id: &str) -> Result<(), Refusal> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if id.is_empty() || !id.bytes().all(may_stand) {
        let reason = "only the characters a-z A-Z 0-9 . _ ~ - are allowed, at least one";
        return Err(Refusal::invalid("endpointId", reason));
    }
    if id.len() > MAX_ID_LEN {
        let reason = format!("longer than {MAX_ID_LEN} characters");
        return Err(Refusal::invalid("endpointId", reason));
    }
    Ok(())
}

fn judge_name(field: &'static str, text: Option<&str>) -> Result<(), Refusal> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() {
        return Err(Refusal::invalid(field, "is empty"));
    }
    if text.contains('\0') {
        return Err(Refusal::invalid(field, "holds a NUL character"));
    }
    if text.len() > MAX_NAME_LEN {
        let reason = format!("longer than {MAX_NAME_LEN} bytes");
        return Err(Refusal::invalid(field, reason));
    }
    Ok(())
}

/// Whether no more than `left` documents and arrays are inside each other. Recurses as deep as that, and no deeper.
pub(super) fn fits(value: Raw<'_>, left: u32) -> bool {
    let below = |value: Result<Raw<'_>, _>, left| value.is_ok_and(|value| fits(value, left));
    match (value.value(), left.checked_sub(1)) {
        (Ok(Value::Document(_) | Value::Array(_)), None) => false,
        (Ok(Value::Document(document)), Some(left)) => document
            .raw_elements()
            .all(|element| below(element.map(|(_, value)| value), left)),
        (Ok(Value::Array(array)), Some(left)) => array.raw_values().all(|value| below(value, left)),
        (read, _) => read.is_ok(),
    }
}

/// One step into a value.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

/// Whether no object in a value is read back as a reference that has no JSON form. Else `path` leads to it.
///
/// The depth is known to be bounded.
pub(super) fn printable<'a>(value: Raw<'a>, path: &mut Vec<Step<'a>>) -> bool {
    match value.value() {
        Ok(Value::Document(document)) => {
            let [mut reference, mut id, mut hides] = [false; 3];
            for (name, _) in document.raw_elements().flatten() {
                reference |= name == "$ref";
                id |= name == "$id";
                hides |= matches!(name, "items" | "__iter__");
            }
            if reference && id && hides {
                return false;
            }
            for (name, below) in document.raw_elements().flatten() {
                path.push(Step::Name(name));
                if !printable(below, path) {
                    return false;
                }
                path.pop();
            }
        }
        Ok(Value::Array(array)) => {
            for (index, below) in array.raw_values().flatten().enumerate() {
                path.push(Step::Index(index));
                if !printable(below, path) {
                    return false;
                }
                path.pop();
            }
        }
        _ => {}
    }
    true
}

/// `start` and the steps behind it, as refusals name them.
pub(super) fn shown_path(start: &str, steps: &[Step<'_>]) -> Cow<'static, str> {
    let mut path = start.to_owned();
    for step in steps {
        // Writing to a String does not fail.
        let _ = match step {
            Step::Name(name) => write!(path, ".{name}"),
            Step::Index(index) => write!(path, ".{index}"),
        };
    }
    path.into()
}
