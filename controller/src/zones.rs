//! The zone of this replica, as it becomes known.

use ilb_discovery::Zone;
use ilb_reconciler::{LeastConnections, zones::ZonePreference};
use tokio::sync::watch;

/// Source of the preference for backends of the own zone: the zone may have to be asked for.
#[derive(Debug)]
pub(crate) struct ZoneSource {
    own: watch::Receiver<Option<Zone>>,
    max_excess_percent: u32,
    /// Zone that the balancer prefers.
    preferred: Option<Zone>,
}

impl ZoneSource {
    pub(crate) fn new(own: watch::Receiver<Option<Zone>>, max_excess_percent: u32) -> Self {
        Self { own, max_excess_percent, preferred: None }
    }

    /// Lets the balancer prefer the zone that is known now. Returns `true` if that is another one than before.
    pub(crate) fn apply(&mut self, balancer: &mut LeastConnections) -> bool {
        // Whether the sender still exists does not matter.
        let own = self.own.borrow().clone();
        if self.preferred == own {
            return false;
        }
        self.preferred.clone_from(&own);
        let preference = |own| ZonePreference::new(own).with_max_excess_percent(self.max_excess_percent);
        balancer.set_zones(own.map(preference));
        true
    }

    pub(crate) fn max_excess_percent(&self) -> u32 {
        self.max_excess_percent
    }
}

#[cfg(test)]
mod tests {
    use ilb_reconciler::Pacing;

    use super::*;

    fn preferred(balancer: &LeastConnections) -> Option<(&str, u32)> {
        balancer.zones().map(|zones| (zones.own().as_str(), zones.max_excess_percent()))
    }

    #[test]
    fn a_zone_is_preferred_from_the_moment_at_which_it_becomes_known() {
        let (sender, receiver) = watch::channel(None);
        let (mut source, mut balancer) = (ZoneSource::new(receiver, 30), LeastConnections::new(Pacing::default()));
        assert!(!source.apply(&mut balancer) && preferred(&balancer).is_none());
        sender.send_replace(Some("eu-1a".parse().unwrap()));
        drop(sender);
        assert!(source.apply(&mut balancer));
        assert_eq!(preferred(&balancer), Some(("eu-1a", 30)));
        assert!(!source.apply(&mut balancer), "once");
    }
}
