//! Fuzzes [`refusals`].

#![no_main]

use ilb_discovery::fuzzing::refusals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| refusals(data));
