//! Middlewares for TCP.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::IpRange;

/// A restriction of the connections between router and service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Middleware {
    /// Limits the simultaneous connections from one client address. Each change of the configuration restarts the count
    /// at 0.
    InFlightConn {
        /// Maximum number of connections.
        amount: NonZeroU32,
    },
    /// Accepts only clients from these ranges, and no client at all without a range.
    #[serde(rename_all = "camelCase")]
    IpAllowList {
        /// Ranges of client addresses.
        source_range: Vec<IpRange>,
    },
}
