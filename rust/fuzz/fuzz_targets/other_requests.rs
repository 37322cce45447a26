//! See `kaa_epr_fuzz::reads::other_requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kaa_epr_fuzz::reads::other_requests(data));
