//! 19/EPMMP, the Endpoint Metadata Management Protocol: one file per message.

pub mod app_versions_request;
pub mod app_versions_response;
mod deadline;
pub mod get_request;
pub mod get_response;
pub mod keys_get_request;
pub mod keys_get_response;
mod new_get_request;
mod strings;

pub use app_versions_request::AppVersionsRequest;
pub use app_versions_response::{AppVersionsResponse, Group};
pub use get_request::{GetRequest, Malformed, Shape};
pub use get_response::{GetResponse, Payload, Revision};
pub use keys_get_request::KeysGetRequest;
pub use keys_get_response::{Keys, KeysGetResponse};
pub use strings::Strings;
