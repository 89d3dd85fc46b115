//! Fuzzes [`traefik_echo`].

#![no_main]

use ilb_traefik_client::client::fuzzing::traefik_echo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| traefik_echo(data));
