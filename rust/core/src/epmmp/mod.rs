//! 19/EPMMP, the Endpoint Metadata Management Protocol: one file per message.

pub mod get_request;
pub mod get_response;
mod include;

pub use get_request::{GetRequest, Malformed, Shape};
pub use get_response::{GetResponse, Payload, Revision};
pub use include::Include;
