//! Fuzzes [`closer_packets`].

#![no_main]

use ilb_connections::fuzzing::closer_packets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| closer_packets(data));
