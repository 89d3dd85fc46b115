//! Fuzzes [`proc_net_tcp`].

#![no_main]

use ilb_connections::fuzzing::proc_net_tcp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| proc_net_tcp(data));
