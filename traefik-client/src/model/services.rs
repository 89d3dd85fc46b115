use std::collections::{BTreeMap, BTreeSet, btree_map};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Name;

/// Services by name, none of which contains itself.
///
/// A service is added after those that it contains, and never replaced. So a circle cannot come about; Traefik would
/// follow it until its stack overflows and its process ends.
///
/// ```
/// use ilb_traefik_client::{Child, Configuration, InvalidService, LoadBalancer, Name, Weight, Weighted};
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
/// There is no way around `insert`:
///
/// ```compile_fail
/// use ilb_traefik_client::{Configuration, LoadBalancer};
///
/// let mut configuration = Configuration::default();
/// configuration.tcp.services["a"] = LoadBalancer::default().into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services<S> {
    by_name: BTreeMap<Name, S>,
}

type Entries<'a, S> = btree_map::Range<'a, Name, S>;

/// What [`Services`] has to know of a service.
pub trait Service: sealed::Sealed {
    /// The services that it contains.
    fn children(&self) -> impl Iterator<Item = &Name>;

    /// Whether its health depends on the checks of its children.
    fn needs_checked_children(&self) -> bool {
        false
    }

    /// Whether Traefik learns its health.
    fn is_checked(&self) -> bool {
        false
    }
}

pub(crate) mod sealed {
    /// Keeps the trait to this crate.
    #[expect(unnameable_types, reason = "that is the point of it")]
    pub trait Sealed {}
}

/// Why a service cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidService {
    /// There is one of that name.
    #[error("there is a service '{0}' already")]
    Duplicate(Name),
    /// It contains one that is not there (yet), or itself.
    #[error("service '{service}' contains '{child}', which is not there: add that one first, and none to itself")]
    UnknownChild {
        /// The service that was to be added.
        service: Name,
        /// What it contains.
        child: Name,
    },
    /// It wants to know the health of one that has no health check, for which Traefik disables the router.
    #[error("service '{service}' takes its health from '{child}', which has no health check")]
    UncheckedChild {
        /// The service that was to be added.
        service: Name,
        /// What it contains.
        child: Name,
    },
}

impl<S: Service> Services<S> {
    /// Adds a service whose children are there already.
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
    /// Adds or replaces a service of a pool: a parent whose children are derived, or such a child, which has none.
    pub(crate) fn set_pool(&mut self, name: Name, service: S) {
        self.by_name.insert(name, service);
    }

    /// The service of that name.
    pub fn get(&self, name: &str) -> Option<&S> {
        self.by_name.get(name)
    }

    /// All services, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &S)> {
        self.by_name.iter()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Those before and after a name that none of them has.
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

/// Revision markers, which Traefik lists among the services, are left out.
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

/// The names in an order in which children come before their parents, as far as there is one; without recursion, since
/// the depth comes from outside.
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
    use crate::TcpService;

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
        services.insert(a.clone(), crate::LoadBalancer::default()).unwrap();
        let again = services.insert(a.clone(), crate::LoadBalancer::default());
        assert_eq!(again, Err(InvalidService::Duplicate(a)));
    }
}
