//! Fuzzes [`status`].

#![no_main]

use ilb::fuzzing::status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| status(data));
