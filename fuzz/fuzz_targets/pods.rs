//! Fuzzes [`pods`].

#![no_main]

use ilb_discovery::fuzzing::pods;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pods(data));
