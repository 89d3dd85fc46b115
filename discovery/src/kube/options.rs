//! Options that all Kubernetes sources have in common.

use std::collections::BTreeSet;

use super::scope::Namespace;
use crate::{AddressPolicy, Families};

/// Options of a Kubernetes source, beside what it selects.
///
/// The default searches the one namespace given to the source's constructor, accepts every address that
/// [`AddressPolicy`] does by default, prefers IPv4, and never uses draining backends.
///
/// ```
/// use ilb_discovery::{Families, KubeOptions};
///
/// let options = KubeOptions::default().with_namespaces(["shop", "bank"]).with_families(Families::PreferIpv6);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeOptions {
    pub(super) namespaces: Namespaces,
    pub(super) addresses: AddressPolicy,
    pub(super) families: Families,
    pub(super) draining_fallback: bool,
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
    /// Searches `names` together, instead of the namespace given to the constructor (the default).
    ///
    /// The set is complete when each of them has been listed, and one that cannot be listed holds back the first set.
    /// Without any name the namespace given to the constructor is searched.
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
}
