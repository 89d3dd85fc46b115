use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use kube::runtime::watcher::Event;

use super::slim::{Phase, SlimPod};
use crate::{AddressPolicy, Backend, BackendSet, State};

/// The backends of the pods seen so far, kept by one watch.
///
/// A (re)list goes into a staging map that replaces the live one only when it is complete: what broke off half-way
/// leaves no trace, and until then the old set stays valid.
pub(crate) struct PodIndex {
    rules: Rules,
    /// By UID: two pods may show one address (one of them ended, or both on the host network), and a name is reused.
    live: HashMap<String, Backend>,
    staging: HashMap<String, Backend>,
    synced: bool,
}

/// How a pod becomes a backend.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) port: u16,
    pub(crate) addresses: AddressPolicy,
}

impl PodIndex {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, live: HashMap::new(), staging: HashMap::new(), synced: false }
    }

    /// Takes in one event. Returns the complete set if it may have changed or if a (re)list has just been completed.
    pub(crate) fn apply(&mut self, event: Event<SlimPod>) -> Option<Arc<BackendSet>> {
        let changed = match event {
            Event::Init => {
                self.staging.clear();
                false
            }
            Event::InitApply(pod) => {
                put(&mut self.staging, &self.rules, &pod);
                false
            }
            Event::InitDone => {
                self.live = std::mem::take(&mut self.staging);
                self.synced = true;
                true
            }
            Event::Apply(pod) => put(&mut self.live, &self.rules, &pod),
            Event::Delete(pod) => self.live.remove(pod.uid()).is_some(),
        };
        (changed && self.synced).then(|| Arc::new(merge(self.live.values())))
    }
}

/// The set of the backends of a complete list of pods.
pub(crate) fn set_of<'a>(pods: impl IntoIterator<Item = &'a SlimPod>, rules: &Rules) -> BackendSet {
    let backends: Vec<_> = pods.into_iter().filter_map(|pod| rules.backend(pod)).collect();
    merge(&backends)
}

/// Puts the backend of `pod` into `map`, or takes it out if it has none. Returns whether `map` changed.
fn put(map: &mut HashMap<String, Backend>, rules: &Rules, pod: &SlimPod) -> bool {
    match rules.backend(pod) {
        None => map.remove(pod.uid()).is_some(),
        Some(backend) => {
            if map.get(pod.uid()) == Some(&backend) {
                return false;
            }
            map.insert(pod.uid().to_owned(), backend);
            true
        }
    }
}

/// Of several pods with one address the most useful one speaks for it.
fn merge<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> BackendSet {
    let mut by_address: HashMap<SocketAddr, &Backend> = HashMap::new();
    for backend in backends {
        let best = by_address.entry(backend.address()).or_insert(backend);
        // `State` is ordered from the most to the least useful.
        if backend.state() < best.state() {
            *best = backend;
        }
    }
    by_address.into_values().cloned().collect()
}

impl Rules {
    fn backend(&self, pod: &SlimPod) -> Option<Backend> {
        if pod.phase == Phase::Ended {
            return None;
        }
        let address = SocketAddr::new(pod.ip?.to_canonical(), self.port);
        if let Err(why) = self.addresses.check(address) {
            tracing::warn!(pod = pod.name(), %address, "refused a backend: {why} cannot be one");
            return None;
        }
        let state = match (pod.deleting, pod.ready && pod.phase == Phase::Running) {
            (true, _) => State::Draining,
            (false, true) => State::Ready,
            (false, false) => State::NotReady,
        };
        Some(Backend::new(address, state))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules { port: 3333, addresses: AddressPolicy::default() }
    }

    fn pod(uid: &str, ip: &str) -> serde_json::Value {
        json!({
            "metadata": {"name": uid, "uid": uid},
            "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    fn slim(pod: serde_json::Value) -> SlimPod {
        serde_json::from_value(pod).unwrap()
    }

    fn ready(uid: &str, ip: &str) -> SlimPod {
        slim(pod(uid, ip))
    }

    fn not_ready(uid: &str, ip: &str) -> SlimPod {
        let mut pod = pod(uid, ip);
        pod["status"]["conditions"][0]["status"] = "False".into();
        slim(pod)
    }

    fn deleting(uid: &str, ip: &str) -> SlimPod {
        let mut pod = pod(uid, ip);
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        slim(pod)
    }

    fn ended(uid: &str, ip: &str) -> SlimPod {
        let mut pod = pod(uid, ip);
        pod["status"]["phase"] = "Failed".into();
        slim(pod)
    }

    fn synced(pods: impl IntoIterator<Item = SlimPod>) -> PodIndex {
        let mut index = PodIndex::new(rules());
        index.apply(Event::Init);
        for pod in pods {
            assert!(index.apply(Event::InitApply(pod)).is_none());
        }
        index.apply(Event::InitDone).unwrap();
        index
    }

    fn states(set: &BackendSet) -> Vec<(String, State)> {
        set.iter().map(|b| (b.address().ip().to_string(), b.state())).collect()
    }

    #[test]
    fn nothing_is_published_before_the_first_list_is_complete() {
        let mut index = PodIndex::new(rules());
        assert!(index.apply(Event::Init).is_none());
        assert!(index.apply(Event::InitApply(ready("a", "10.0.0.1"))).is_none());
        assert!(index.apply(Event::Apply(ready("b", "10.0.0.2"))).is_none());
    }

    #[test]
    fn a_relist_that_breaks_off_leaves_no_trace() {
        let mut index = synced([ready("a", "10.0.0.1"), ready("b", "10.0.0.2")]);
        index.apply(Event::Init);
        index.apply(Event::InitApply(ready("c", "10.0.0.3")));
        index.apply(Event::Init);
        index.apply(Event::InitApply(ready("b", "10.0.0.2")));
        let set = index.apply(Event::InitDone).unwrap();
        assert_eq!(states(&set), [("10.0.0.2".to_owned(), State::Ready)]);
    }

    #[test]
    fn readiness_deletion_and_the_end_of_a_pod_are_told_apart() {
        let mut index = synced([ready("a", "10.0.0.1"), not_ready("b", "10.0.0.2")]);
        let set = index.apply(Event::Apply(deleting("a", "10.0.0.1"))).unwrap();
        assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::Draining), ("10.0.0.2".to_owned(), State::NotReady)]);
        let set = index.apply(Event::Apply(ended("a", "10.0.0.1"))).unwrap();
        assert_eq!(set.len(), 1);
        let set = index.apply(Event::Delete(not_ready("b", "10.0.0.2"))).unwrap();
        assert!(set.is_empty());
    }

    #[test]
    fn a_change_that_does_not_touch_the_set_is_no_change() {
        let mut index = synced([ready("a", "10.0.0.1")]);
        assert!(index.apply(Event::Apply(ready("a", "10.0.0.1"))).is_none());
        assert!(index.apply(Event::Apply(slim(json!({"metadata": {"uid": "new"}})))).is_none());
        assert!(index.apply(Event::Delete(ready("unknown", "10.0.0.9"))).is_none());
    }

    #[test]
    fn an_address_of_two_pods_leaves_with_the_last_one() {
        let mut index = synced([ready("a", "10.0.0.1"), not_ready("b", "10.0.0.1")]);
        let set = index.apply(Event::Apply(deleting("a", "10.0.0.1"))).unwrap();
        assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::Draining)]);
        let set = index.apply(Event::Delete(deleting("a", "10.0.0.1"))).unwrap();
        assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::NotReady)]);
        assert!(index.apply(Event::Delete(not_ready("b", "10.0.0.1"))).unwrap().is_empty());
    }

    #[test]
    fn an_ended_pod_never_speaks_for_an_address_that_another_one_has_now() {
        let set = set_of(&[ended("old", "10.0.0.1"), ready("new", "10.0.0.1")], &rules());
        assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::Ready)]);
    }

    #[test]
    fn an_address_that_is_not_another_hosts_is_refused() {
        for ip in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "224.0.0.1", "0.0.0.0"] {
            assert!(set_of(&[ready("a", ip)], &rules()).is_empty(), "{ip}");
        }
    }
}
