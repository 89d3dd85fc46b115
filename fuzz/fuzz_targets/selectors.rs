//! Fuzzes [`selectors`].

#![no_main]

use ilb_discovery::fuzzing::selectors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| selectors(data));
