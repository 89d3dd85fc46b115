//! Pools on an accelerated clock: Poisson arrivals, Traefiks that shuffle and whose pushes take a few milliseconds,
//! probes that take time and queue, and backends that fail in different ways.

mod accelerated;
mod failing;
mod healthy;
mod random;
mod sharing;
mod world;
mod zones;

use super::*;
use crate::siblings::ReplicaId;
use random::Random;
use world::{Behaviour, Clients, World};

fn address_of(index: usize) -> SocketAddr {
    address(u8::try_from(index).unwrap())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers are small and positive")]
fn to_u32(value: f64) -> u32 {
    value.round() as u32
}
