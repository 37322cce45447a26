//! An endpoint: as Mongo keeps it, and as the cache does.

use mongodb::bson::Bson;
use serde::Deserialize;

/// The document in Mongo, as far as an answer needs it.
#[derive(Deserialize)]
pub struct Document {
    version: i64,
    application_version: String,
    metadata: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    key: String,
    value: Bson,
}

/// An endpoint with its values as JSON text.
pub struct Endpoint {
    /// Version.
    pub e_tag: String,
    /// Application version.
    pub app_version: String,
    /// All metadata.
    pub whole: String,
    fields: Vec<(String, String)>,
}

impl From<Document> for Endpoint {
    fn from(document: Document) -> Self {
        let fields: Vec<(String, String)> = document
            .metadata
            .into_iter()
            .map(|field| (field.key, json(field.value)))
            .collect();
        let e_tag = format!("\"{}\"", document.version);
        let whole = object(fields.iter());
        Self { e_tag, app_version: document.application_version, whole, fields }
    }
}

impl Endpoint {
    /// The fields named by `include`, in stored order.
    pub fn project(&self, include: &[String]) -> String {
        object(self.fields.iter().filter(|(key, _)| include.contains(key)))
    }
}

fn object<'a>(fields: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut out = String::from("{");
    for (key, value) in fields {
        if out.len() > 1 {
            out.push(',');
        }
        out += &serde_json::Value::from(key.as_str()).to_string();
        out.push(':');
        out += value;
    }
    out.push('}');
    out
}

/// JSON text of a value; nested documents keep their order.
fn json(value: Bson) -> String {
    match value {
        Bson::Document(document) => {
            let fields: Vec<_> = document.into_iter().map(|(key, value)| (key, json(value))).collect();
            object(fields.iter())
        }
        Bson::Array(items) => {
            let items: Vec<String> = items.into_iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        other => other.into_relaxed_extjson().to_string(),
    }
}
