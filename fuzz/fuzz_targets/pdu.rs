#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| freehold_spec_tests::fuzz::pdu(data));
