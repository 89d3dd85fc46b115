//! The two arrangements of components that a run tries, and the three pools of each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An arrangement of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setup {
    /// Two Traefiks, which get the same configuration. The connections of a fleet cannot be counted, so each pool is balanced
    /// by round robin, whatever its method.
    Fleet,
    /// A single Traefik, whose connections are counted.
    Single,
}

/// A pool of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSpec {
    /// Name of the pool, and of the namespace of its pods.
    pub(crate) name: &'static str,
    /// Entry point, and its port.
    pub(crate) entry_point: (&'static str, u16),
    /// Each pool selects its pods in another way.
    pub(crate) selector: &'static str,
    /// True for least connections.
    pub(crate) counts: bool,
}

/// The pools.
pub(crate) const POOLS: [PoolSpec; 3] = [
    PoolSpec { name: "orders", entry_point: ("tcp", 3333), selector: "app=backend", counts: true },
    PoolSpec { name: "carts", entry_point: ("second", 3334), selector: "app in (backend,cart)", counts: false },
    PoolSpec { name: "events", entry_point: ("third", 3335), selector: "app,!canary", counts: true },
];

/// Name of a pool that is added to the settings, at an entry point that no Traefik has.
pub(crate) const EXTRA_POOL: &str = "extra";

/// Backends that a pool has at most.
pub(crate) const SLOTS: usize = 6;
/// Backends that a pool begins with.
pub(crate) const FIRST_SLOTS: usize = 4;

impl Setup {
    /// Both, in the order in which a run tries them.
    pub const ALL: [Self; 2] = [Self::Fleet, Self::Single];

    /// Returns the name, as in `SETUP=fleet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Single => "single",
        }
    }

    /// Returns the number of Traefiks.
    pub fn traefiks(self) -> usize {
        match self {
            Self::Fleet => 2,
            Self::Single => 1,
        }
    }

    /// Returns whether the connections of this pool are counted.
    pub fn counts(self, pool: usize) -> bool {
        self == Self::Single && POOLS[pool].counts
    }
}

/// Place of a backend: its pool, and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Index of the pool.
    pub pool: usize,
    /// Number in the pool, from 0 to [`SLOTS`] - 1.
    pub number: usize,
}

impl Slot {
    /// Returns all slots.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..POOLS.len()).flat_map(|pool| (0..SLOTS).map(move |number| Self { pool, number }))
    }

    /// Returns the index of its address among those of all backends.
    pub fn index(self) -> u16 {
        u16::try_from(self.pool * 16 + self.number).unwrap_or(u16::MAX)
    }

    /// Returns the slot of an address, given the address of each slot.
    pub fn of(address: SocketAddr, address_of: impl Fn(Self) -> SocketAddr) -> Option<Self> {
        Self::all().find(|slot| address_of(*slot) == address)
    }
}
