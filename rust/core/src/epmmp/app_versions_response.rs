//! `AppVersionsByEndpointsResponse` (19/EPMMP, 2024-03-08): correlationId, timestamp, timeout, endpointIds,
//! appVersionsToEndpoints, statusCode, reasonPhrase.

use super::Strings;
use super::get_response::{len_option, put_option};
use crate::avro::{len_long, len_string, put_long, put_string};

/// One application version and the endpoints that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub app_version: &'a str,
    /// Never none.
    pub endpoint_ids: Vec<&'a str>,
}

/// An answer to a request for application versions; `timeout` is always 0 when written.
#[derive(Clone, Copy, Debug)]
pub struct AppVersionsResponse<'a> {
    /// Repeated from the request.
    pub correlation_id: &'a str,
    /// When the answer was made, Unix milliseconds.
    pub timestamp: i64,
    /// Repeated from the request, as they came.
    pub endpoint_ids: Strings<'a>,
    /// None but with status 200.
    pub groups: &'a [Group<'a>],
    /// An HTTP status code.
    pub status: i32,
    /// A short text for everything but 200.
    pub reason: Option<&'a str>,
}

/// Bytes of the counts of an array or map: one block, if there are items, and the end.
fn len_counts(items: usize) -> usize {
    1 + if items > 0 { len_long(items as i64) } else { 0 }
}

/// Appends an array of strings as one block.
fn put_strings<'s>(out: &mut Vec<u8>, count: usize, strings: impl Iterator<Item = &'s str>) {
    if count > 0 {
        put_long(out, count as i64);
        strings.for_each(|string| put_string(out, string));
    }
    put_long(out, 0);
}

impl AppVersionsResponse<'_> {
    /// Bytes that [`AppVersionsResponse::encode`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let group = |group: &Group<'_>| {
            let ids = &group.endpoint_ids;
            len_string(group.app_version)
                + len_counts(ids.len())
                + ids.iter().map(|id| len_string(id)).sum::<usize>()
        };
        len_string(self.correlation_id)
            + len_long(self.timestamp)
            + 1 // timeout
            + len_counts(self.endpoint_ids.len())
            + self.endpoint_ids.iter().map(len_string).sum::<usize>()
            + len_counts(self.groups.len())
            + self.groups.iter().map(group).sum::<usize>()
            + len_long(i64::from(self.status))
            + len_option(self.reason.map(str::len))
    }

    /// Appends the message; arrays and map are one block each.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.correlation_id);
        put_long(out, self.timestamp);
        put_long(out, 0);
        put_strings(out, self.endpoint_ids.len(), self.endpoint_ids.iter());
        if !self.groups.is_empty() {
            put_long(out, self.groups.len() as i64);
            for group in self.groups {
                put_string(out, group.app_version);
                let ids = &group.endpoint_ids;
                put_strings(out, ids.len(), ids.iter().copied());
            }
        }
        put_long(out, 0);
        put_long(out, i64::from(self.status));
        put_option(out, self.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::Reader;

    #[test]
    fn golden_bytes() {
        // Two blocks come back as one.
        let ids = Strings::read(&mut Reader::new(&[2, 2, b'a', 2, 2, b'b', 0])).expect("is well-formed");
        let groups = [Group {
            app_version: "v",
            endpoint_ids: vec!["b"],
        }];
        let answer = AppVersionsResponse {
            correlation_id: "c",
            timestamp: 1,
            endpoint_ids: ids,
            groups: &groups,
            status: 200,
            reason: None,
        };
        let refusal = AppVersionsResponse {
            groups: &[],
            endpoint_ids: Strings::default(),
            status: 503,
            reason: Some("no"),
            ..answer
        };
        let ids = [4, 2, b'a', 2, b'b', 0];
        let map = [2, 2, b'v', 2, 2, b'b', 0, 0];
        for (answer, tail) in [
            (answer, [&ids[..], &map, &[0x90, 0x03, 0]].concat()),
            (refusal, vec![0, 0, 0xee, 0x07, 2, 4, b'n', b'o']),
        ] {
            let mut out = Vec::new();
            answer.encode(&mut out);
            assert_eq!(out, [&[2, b'c', 2, 0], &tail[..]].concat());
            assert_eq!(out.len(), answer.encoded_len());
        }
    }
}
