//! Fuzzes [`slices`].

#![no_main]

use ilb_discovery::fuzzing::slices;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| slices(data));
