//! Maps of services that contain no circle.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Name;

/// Services by name, none of which contains itself.
///
/// A service can only be added after those that it contains, and is never replaced. So there can be no circle, which
/// Traefik would follow until its stack overflows and its process exits.
///
/// ```
/// use ilb_traefik_client::{
///     Configuration, Name,
///     model::{Child, InvalidService, LoadBalancer, Weight, Weighted},
/// };
///
/// let mut services = Configuration::default().tcp.services;
/// let (a, b): (Name, Name) = ("a".parse()?, "b".parse()?);
/// services.insert(b.clone(), LoadBalancer::default())?;
/// services.insert(a.clone(), Weighted::new([Child::new(b, Weight::ONE)]))?;
///
/// let itself = Weighted::new([Child::new("c".parse()?, Weight::ONE)]);
/// let refused = services.insert("c".parse()?, itself).unwrap_err();
/// assert_eq!(refused, InvalidService::UnknownChild { service: "c".parse()?, child: "c".parse()? });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `insert` cannot be bypassed:
///
/// ```compile_fail
/// use ilb_traefik_client::{Configuration, model::LoadBalancer};
///
/// let mut configuration = Configuration::default();
/// configuration.tcp.services["a"] = LoadBalancer::default().into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services<S> {
    by_name: BTreeMap<Name, S>,
}

type Entries<'a, S> = btree_map::Range<'a, Name, S>;

/// Properties of a service that [`Services`] depends on.
pub trait Service: sealed::Sealed {
    /// Returns the names of the services that it contains.
    fn children(&self) -> impl Iterator<Item = &Name>;

    /// Returns whether its health depends on the checks of its children.
    fn needs_checked_children(&self) -> bool {
        false
    }

    /// Returns whether Traefik knows its health.
    fn is_checked(&self) -> bool {
        false
    }
}

pub(crate) mod sealed {
    /// Restricts implementations of the trait to this crate.
    #[expect(unnameable_types, reason = "the trait must not be implemented elsewhere")]
    pub trait Sealed {}
}

/// A service that cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidService {
    /// The name is in use.
    #[error("there is a service '{0}' already")]
    Duplicate(Name),
    /// The service contains one that has not been added, or itself.
    #[error("service '{service}' contains '{child}', which is not there: add that one first, and none to itself")]
    UnknownChild {
        /// Name of the refused service.
        service: Name,
        /// Name of the service that it contains.
        child: Name,
    },
    /// The service depends on the health of one without a health check, for which Traefik disables the router.
    #[error("service '{service}' takes its health from '{child}', which has no health check")]
    UncheckedChild {
        /// Name of the refused service.
        service: Name,
        /// Name of the service that it contains.
        child: Name,
    },
}

impl<S: Service> Services<S> {
    /// Adds a service, whose children have to be added before it.
    pub fn insert(&mut self, name: Name, service: impl Into<S>) -> Result<(), InvalidService> {
        let service = service.into();
        if self.by_name.contains_key(&name) {
            return Err(InvalidService::Duplicate(name));
        }
        for child in service.children() {
            let Some(known) = self.by_name.get(child) else {
                return Err(InvalidService::UnknownChild { service: name, child: child.clone() });
            };
            if service.needs_checked_children() && !known.is_checked() {
                return Err(InvalidService::UncheckedChild { service: name, child: child.clone() });
            }
        }
        self.by_name.insert(name, service);
        Ok(())
    }
}

impl<S> Services<S> {
    /// Adds or replaces a service of a pool. Its children have derived names and no children of their own, so there can be
    /// no circle.
    pub(crate) fn set_pool(&mut self, name: Name, service: S) {
        self.by_name.insert(name, service);
    }

    /// Keeps only the services whose names `keep` accepts: with each service those that it contains.
    #[cfg(feature = "client")]
    pub(crate) fn retain(&mut self, keep: impl Fn(&Name) -> bool) {
        self.by_name.retain(|name, _| keep(name));
    }

    /// Returns the service of that name.
    pub fn get(&self, name: &str) -> Option<&S> {
        self.by_name.get(name)
    }

    /// Returns all services in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &S)> {
        self.by_name.iter()
    }

    /// Returns the names in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// Returns the number of services.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns whether there are no services.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Returns the services before and after a name that is not in use.
    pub(crate) fn around<'a>(&'a self, name: &'a Name) -> (Entries<'a, S>, Entries<'a, S>) {
        (self.by_name.range::<Name, _>(..name), self.by_name.range::<Name, _>(name..))
    }
}

impl<S> Default for Services<S> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<S: Serialize> Serialize for Services<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.by_name.serialize(serializer)
    }
}

/// Skips revision markers, which Traefik lists among the services.
impl<'de, S: Service + Deserialize<'de>> Deserialize<'de> for Services<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut left: BTreeMap<String, S> = BTreeMap::deserialize(deserializer)?;
        left.retain(|name, _| !name.starts_with(Name::REVISION_PREFIX));
        let mut services = Self::default();
        for name in children_first(&left) {
            if let Some(service) = left.remove(&name) {
                let name = serde_json::from_value(name.into()).map_err(D::Error::custom)?;
                services.insert(name, service).map_err(D::Error::custom)?;
            }
        }
        Ok(services)
    }
}

/// Returns the names in an order in which children precede their parents, unless there is a circle. It does not recurse,
/// since the depth is given from outside.
fn children_first<S: Service>(services: &BTreeMap<String, S>) -> Vec<String> {
    let (mut order, mut seen) = (Vec::with_capacity(services.len()), BTreeSet::new());
    for root in services.keys() {
        let mut stack = vec![(root.as_str(), false)];
        while let Some((name, children_done)) = stack.pop() {
            if children_done {
                order.push(name.to_owned());
            } else if let Some(service) = services.get(name)
                && seen.insert(name)
            {
                stack.push((name, true));
                stack.extend(service.children().map(|child| (child.as_str(), false)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{LoadBalancer, TcpService};

    fn read(json: serde_json::Value) -> Result<Services<TcpService>, String> {
        serde_json::from_value(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_circle_is_refused_whatever_its_length() {
        let weighted = |child: &str| json!({"weighted": {"services": [{"name": child, "weight": 1}]}});
        for circle in [
            json!({"a": weighted("a")}),
            json!({"a": weighted("b"), "b": weighted("a")}),
            json!({"a": weighted("b"), "b": weighted("c"), "c": weighted("a"), "d": {"loadBalancer": {}}}),
        ] {
            let refused = read(circle).unwrap_err();
            assert!(refused.contains("which is not there"), "{refused}");
        }
        assert_eq!(read(json!({"a": weighted("b"), "b": weighted("c"), "c": {"loadBalancer": {}}})).unwrap().len(), 3);
    }

    #[test]
    fn a_null_service_is_refused() {
        assert!(read(json!({"a": null})).is_err());
    }

    #[test]
    fn a_negative_weight_is_refused() {
        let weighted = json!({"weighted": {"services": [{"name": "b", "weight": -1}]}});
        assert!(read(json!({"a": weighted, "b": {"loadBalancer": {}}})).is_err());
    }

    #[test]
    fn a_deep_chain_is_read_without_recursion() {
        let link = |i: u32| json!({"weighted": {"services": [{"name": format!("s{}", i + 1), "weight": 1}]}});
        let mut chain: serde_json::Map<String, _> = (0..10_000).map(|i| (format!("s{i}"), link(i))).collect();
        chain.insert("s10000".into(), json!({"loadBalancer": {}}));
        assert_eq!(read(chain.into()).unwrap().len(), 10_001);
    }

    #[test]
    fn a_service_is_never_replaced() {
        let mut services = Services::<TcpService>::default();
        let a: Name = "a".parse().unwrap();
        services.insert(a.clone(), LoadBalancer::default()).unwrap();
        let again = services.insert(a.clone(), LoadBalancer::default());
        assert_eq!(again, Err(InvalidService::Duplicate(a)));
    }
}
