//! Options that all Kubernetes sources have in common.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use super::scope::Namespace;
use crate::{AddressPolicy, Families};

/// Options of a Kubernetes source, beside what it selects.
///
/// The default searches the one namespace given to the source's constructor, accepts every address that
/// [`AddressPolicy`] does by default, prefers IPv4, never uses draining backends, and renews its watch every 10 s.
///
/// ```
/// use ilb_discovery::{Families, KubeOptions};
///
/// let options = KubeOptions::default().with_namespaces(["shop", "bank"]).with_families(Families::PreferIpv6);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeOptions {
    pub(super) namespaces: Namespaces,
    pub(super) addresses: AddressPolicy,
    pub(super) families: Families,
    pub(super) draining_fallback: bool,
    pub(super) watch_lifetime: Duration,
}

impl Default for KubeOptions {
    fn default() -> Self {
        Self {
            namespaces: Namespaces::default(),
            addresses: AddressPolicy::default(),
            families: Families::default(),
            draining_fallback: false,
            watch_lifetime: Self::DEFAULT_WATCH_LIFETIME,
        }
    }
}

/// Namespaces that a source searches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Namespaces {
    /// The one given to the source's constructor.
    #[default]
    Given,
    These(BTreeSet<Namespace>),
    All,
}

impl KubeOptions {
    /// Lifetime of a watch unless [`with_watch_lifetime`](Self::with_watch_lifetime) sets another.
    pub const DEFAULT_WATCH_LIFETIME: Duration = Duration::from_secs(10);
    /// Shortest and longest lifetime of a watch.
    pub const WATCH_LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(290);

    /// Searches `names` together, instead of the namespace given to the constructor (the default).
    ///
    /// The set is complete when each of them has been listed, and one that cannot be listed holds back the first set.
    /// One that the service account may not read takes only its own backends away: the set has those of the others, and
    /// the refusal follows as an error, again and again. Without any name the namespace given to the constructor is
    /// searched.
    #[must_use]
    pub fn with_namespaces<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names: BTreeSet<_> = names.into_iter().map(|name| name.as_ref().into()).collect();
        self.namespaces = if names.is_empty() { Namespaces::Given } else { Namespaces::These(names) };
        self
    }

    /// Searches all namespaces of the cluster, instead of the one given to the constructor (the default).
    ///
    /// The service account needs `list` and `watch` in all of them.
    #[must_use]
    pub fn with_all_namespaces(mut self) -> Self {
        self.namespaces = Namespaces::All;
        self
    }

    /// Accepts only the addresses that `policy` does. By default [`AddressPolicy::default`] decides.
    #[must_use]
    pub fn with_addresses(mut self, policy: AddressPolicy) -> Self {
        self.addresses = policy;
        self
    }

    /// Uses the address families that `families` names. By default IPv4 is preferred, and IPv6 used where there is no
    /// IPv4.
    #[must_use]
    pub fn with_families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// Counts draining backends that still serve as ready while no other one is, as kube-proxy does. By default they
    /// are never used. A pod that is drained by its annotation is never used either way.
    #[must_use]
    pub fn with_draining_fallback(mut self) -> Self {
        self.draining_fallback = true;
        self
    }

    /// Replaces the time after which the API server ends a watch, and it is renewed: 10 s by default.
    ///
    /// A dead watch is noticed three seconds after its end, so a short lifetime limits the time that the view can be out
    /// of date without a sign. Each renewal is a request, though, and an entry in an audit log: programs with many
    /// sources may want a longer one. Whole seconds from 5 to 290 are used, the nearest above.
    ///
    /// The client must not give up before: see [`ClientLimits::with_watch_lifetime`](crate::ClientLimits).
    #[must_use]
    pub fn with_watch_lifetime(mut self, lifetime: Duration) -> Self {
        let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
        let (start, end) = Self::WATCH_LIFETIMES.into_inner();
        self.watch_lifetime = Duration::from_secs(seconds).clamp(start, end);
        self
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Duration::ZERO, 5)]
    #[case(Duration::from_millis(60_001), 61)]
    #[case(Duration::from_secs(60), 60)]
    #[case(Duration::MAX, 290)]
    fn the_lifetime_of_a_watch_is_a_number_of_seconds_in_its_range(#[case] lifetime: Duration, #[case] seconds: u64) {
        let options = KubeOptions::default().with_watch_lifetime(lifetime);
        assert_eq!(options.watch_lifetime, Duration::from_secs(seconds));
    }
}
