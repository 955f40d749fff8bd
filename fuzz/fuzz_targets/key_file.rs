#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| freehold_spec_tests::fuzz::key_file(data));
