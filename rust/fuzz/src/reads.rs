//! The reads of 19/EPMMP beside the get, as [`super::targets`].

use super::reference::{Read, decode_read};
use kaa_epr_core::epmmp::{Malformed, app_versions_request, keys_get_request};
use kaa_epr_core::error::Cause;

/// Decoding a metadata keys get and a request for application versions: against the reference.
pub fn other_requests(data: &[u8]) {
    let mut expected = Read::default();
    let verdict = decode_read(data, true, &mut expected);
    match keys_get_request::decode(data) {
        Ok(get) => {
            let times = [get.timestamp, get.timeout];
            let endpoint_ids = vec![get.endpoint_id.into()];
            let correlation_id = get.correlation_id.into();
            assert_eq!(verdict, Ok(()));
            assert_eq!(
                Read {
                    correlation_id,
                    times,
                    endpoint_ids
                },
                expected
            );
        }
        Err(malformed) => {
            let endpoint_id = expected.endpoint_ids.first().map_or("", String::as_str);
            check_malformed(&malformed, verdict, &expected.correlation_id, endpoint_id);
        }
    }
    let mut expected = Read::default();
    let verdict = decode_read(data, false, &mut expected);
    match app_versions_request::decode(data) {
        Ok(asked) => {
            let times = [asked.timestamp, asked.timeout];
            let endpoint_ids: Vec<String> = asked.endpoint_ids.iter().map(String::from).collect();
            assert_eq!(endpoint_ids.len(), asked.endpoint_ids.len());
            let correlation_id = asked.correlation_id.into();
            assert_eq!(verdict, Ok(()));
            assert_eq!(
                Read {
                    correlation_id,
                    times,
                    endpoint_ids
                },
                expected
            );
        }
        Err(malformed) => check_malformed(&malformed, verdict, &expected.correlation_id, ""),
    }
}

fn check_malformed(
    malformed: &Malformed<'_>,
    verdict: Result<(), Cause>,
    correlation_id: &str,
    endpoint_id: &str,
) {
    assert_eq!(verdict, Err(malformed.error.cause));
    let short = correlation_id.len() <= 4096 && endpoint_id.len() <= 4096;
    let echo = if short {
        (correlation_id, endpoint_id)
    } else {
        ("", "")
    };
    assert_eq!((malformed.correlation_id, malformed.endpoint_id), echo);
}
