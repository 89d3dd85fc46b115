//! Fuzzes [`siblings`].

#![no_main]

use ilb_siblings::fuzzing::siblings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| siblings(data));
