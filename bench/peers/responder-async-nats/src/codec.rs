//! The two messages of 19/EPMMP, revision 3.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_avro_fast::Schema;
use serde_avro_fast::ser::SerializerConfig;

/// `EndpointMetadataGetRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetRequest {
    /// Message id.
    pub correlation_id: String,
    /// Endpoint id.
    pub endpoint_id: String,
    /// Fields asked for; empty: all.
    pub include: Vec<String>,
}

/// `EndpointMetadataGetResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetResponse<'a> {
    /// Message id of the request.
    pub correlation_id: &'a str,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// 0: never expires.
    pub timeout: i64,
    /// Endpoint id of the request.
    pub endpoint_id: &'a str,
    /// Version.
    pub e_tag: Option<&'a str>,
    /// Metadata as JSON.
    #[serde(with = "serde_bytes")]
    pub payload: Option<&'a [u8]>,
    /// HTTP status.
    pub status_code: i32,
    /// Reason, unless 200.
    pub reason_phrase: Option<&'a str>,
    /// Application version.
    pub app_version_name: Option<&'a str>,
}

/// The schemas of both.
pub struct Codec {
    request: Schema,
    response: Schema,
}

impl Codec {
    /// Reads the schemas from a directory.
    pub fn read(directory: &Path) -> Result<Self> {
        let schema = |kind: &str| -> Result<Schema> {
            let path = directory.join(format!("0019-endpoint-metadata-get-{kind}.rev3.avsc"));
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(text.parse()?)
        };
        Ok(Self { request: schema("request")?, response: schema("response")? })
    }

    /// Decodes a request.
    pub fn decode(&self, payload: &[u8]) -> Result<GetRequest> {
        Ok(serde_avro_fast::from_datum_slice(payload, &self.request)?)
    }

    /// Encodes a response.
    pub fn encode(&self, response: &GetResponse<'_>) -> Result<Vec<u8>> {
        Ok(serde_avro_fast::to_datum_vec(response, &mut SerializerConfig::new(&self.response))?)
    }
}
