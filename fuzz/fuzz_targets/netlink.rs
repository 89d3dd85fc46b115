//! Fuzzes [`netlink`].

#![no_main]

use ilb_connections::fuzzing::netlink;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| netlink(data));
