//! Weights of services.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Connections per round that a service gets relative to the others: 1 or more.
///
/// Traefik loops endlessly on a negative weight and never picks a service with weight 0, so neither can be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(NonZeroU32);

impl Weight {
    /// Smallest weight.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Returns the weight as a number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Weight {
    type Error = InvalidWeight;

    fn try_from(weight: u32) -> Result<Self, InvalidWeight> {
        NonZeroU32::new(weight).map(Self).ok_or(InvalidWeight)
    }
}

/// A weight of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("0 is not a weight: use 1 or more")]
pub struct InvalidWeight;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_never_zero_or_negative() {
        assert_eq!(Weight::try_from(0), Err(InvalidWeight));
        assert!(serde_json::from_str::<Weight>("-1").is_err());
        assert!(serde_json::from_str::<Weight>("0").is_err());
    }
}
