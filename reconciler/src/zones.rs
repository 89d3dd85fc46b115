//! The preference for backends in the zone of this replica.

use ilb_discovery::Zone;

/// Preference for the backends of one zone, as the user of a pool chooses it.
///
/// Connections between zones take longer and often cost money. A backend of the own zone comes first as long as it is not
/// fuller than the mean of all backends by more than a given part, through all replicas together; from then on, the others
/// come first.
///
/// ```
/// use ilb_reconciler::zones::ZonePreference;
///
/// let preference = ZonePreference::new("eu-1a".parse()?);
/// assert_eq!(preference.max_excess_percent(), ZonePreference::DEFAULT_MAX_EXCESS_PERCENT);
/// # Ok::<(), ilb_discovery::errors::InvalidZone>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePreference {
    own: Zone,
    max_excess_percent: u32,
}

impl ZonePreference {
    /// Excess that is tolerated unless another one is chosen, in percent of the mean.
    pub const DEFAULT_MAX_EXCESS_PERCENT: u32 = 20;

    /// Creates the preference for the backends of this zone.
    pub fn new(own: Zone) -> Self {
        Self { own, max_excess_percent: Self::DEFAULT_MAX_EXCESS_PERCENT }
    }

    /// Replaces the part of the mean, in percent, by which a backend of the own zone may be fuller than the mean and still
    /// come first.
    #[must_use]
    pub fn with_max_excess_percent(self, max_excess_percent: u32) -> Self {
        Self { max_excess_percent, ..self }
    }

    /// Returns the zone whose backends are preferred.
    pub fn own(&self) -> &Zone {
        &self.own
    }

    /// Returns the part of the mean by which they may be fuller than it, in percent.
    pub fn max_excess_percent(&self) -> u32 {
        self.max_excess_percent
    }

    /// Returns `true` if a backend in this zone is preferred. One in an unknown zone is not.
    pub(crate) fn is_near(&self, zone: Option<&Zone>) -> bool {
        zone == Some(&self.own)
    }

    /// Returns the number of connections that a backend of the own zone may have, relative to the mean.
    pub(crate) fn ceiling(&self) -> f64 {
        1.0 + f64::from(self.max_excess_percent) / 100.0
    }
}
