//! Fuzzes [`configuration`].

#![no_main]

use ilb_traefik_client::client::fuzzing::configuration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| configuration(data));
