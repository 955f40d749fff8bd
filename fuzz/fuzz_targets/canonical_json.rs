#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| freehold_spec_tests::fuzz::canonical_json(data));
