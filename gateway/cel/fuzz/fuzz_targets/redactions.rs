#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_cel::fuzzing::redaction(bytes));
