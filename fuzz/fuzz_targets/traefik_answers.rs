//! Fuzzes [`traefik_answers`].

#![no_main]

use ilb_traefik_client::client::fuzzing::traefik_answers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| traefik_answers(data));
