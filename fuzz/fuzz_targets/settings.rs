//! Fuzzes [`settings`].

#![no_main]

use ilb::fuzzing::settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| settings(data));
