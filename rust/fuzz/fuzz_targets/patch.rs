//! See `kaa_epr_fuzz::patches::patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kaa_epr_fuzz::patches::patch(data));
