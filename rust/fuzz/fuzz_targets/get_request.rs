//! See `kaa_epr_fuzz::targets::get_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kaa_epr_fuzz::targets::get_request(data));
