use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::IpRange;

/// What happens to a connection between router and service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Middleware {
    /// At most so many connections at once from one client address. Every change of the configuration starts the count
    /// anew.
    InFlightConn {
        /// Connections.
        amount: NonZeroU32,
    },
    /// Only clients from these ranges; from none at all when there is no range.
    #[serde(rename_all = "camelCase")]
    IpAllowList {
        /// The ranges.
        source_range: Vec<IpRange>,
    },
}
