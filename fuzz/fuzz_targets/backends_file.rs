//! Fuzzes [`backends_file`].

#![no_main]

use ilb_discovery::fuzzing::backends_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| backends_file(data));
