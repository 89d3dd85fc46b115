//! Fuzzes [`watch`].

#![no_main]

use ilb_discovery::fuzzing::watch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| watch(data));
