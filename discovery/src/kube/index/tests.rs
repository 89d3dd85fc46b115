//! Tests of the index, against examples and a naive model.

use std::{collections::BTreeMap, net::SocketAddr};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    Cause, Families, KubeOptions,
    kube::{
        pod::SlimPod,
        slice::SlimSlice,
        testing::{decoded, deleting, not_ready, pod, with},
    },
};

fn rules() -> Rules {
    Rules::new(5432.into(), KubeOptions::default())
}

fn index(rules: Rules, scopes: usize) -> Index {
    Index::new(rules, (0..scopes).map(|_| Arc::default()))
}

/// Applies one event of the only scope. Returns the set if it may have changed.
fn apply<K: Object>(index: &mut Index, event: Event<K>) -> Option<Arc<BackendSet>> {
    index.apply(0, event).changed.then(|| index.set()).flatten()
}

fn applied(pod: Value) -> Event<SlimPod> {
    Event::Applied(decoded(pod))
}

fn listed(pods: impl IntoIterator<Item = Value>) -> Event<SlimPod> {
    Event::Listed(pods.into_iter().map(decoded).collect())
}

fn synced(rules: Rules, pods: impl IntoIterator<Item = Value>) -> Index {
    let mut index = index(rules, 1);
    index.apply(0, Event::<SlimPod>::ListBegun);
    index.apply(0, listed(pods));
    index.apply(0, Event::<SlimPod>::ListDone);
    index
}

fn failure() -> Error {
    Error::Failed { source_name: "the test".into(), cause: Cause::new("scripted") }
}

fn states(set: &BackendSet) -> Vec<(String, State)> {
    set.iter().map(|b| (b.address().ip().to_string(), b.state())).collect()
}

/// Gives `pod` the identity `uid`.
fn named(uid: &str, pod: Value) -> Value {
    with(pod, [("/metadata/uid", uid.into())])
}

#[test]
fn nothing_is_published_before_the_first_list_is_complete() {
    let mut index = index(rules(), 1);
    assert_eq!(apply(&mut index, Event::<SlimPod>::ListBegun), None);
    assert_eq!(apply(&mut index, listed([pod(1, 1)])), None);
    assert_eq!(apply(&mut index, applied(pod(2, 2))), None);
    assert!(apply(&mut index, Event::<SlimPod>::ListDone).is_some());
}

#[test]
fn a_relist_that_breaks_off_leaves_no_trace() {
    let mut index = synced(rules(), [pod(1, 1), pod(2, 2)]);
    apply(&mut index, Event::<SlimPod>::ListBegun);
    apply(&mut index, listed([pod(3, 3)]));
    assert_eq!(index.set().unwrap().len(), 2, "the old set stays valid");
    apply(&mut index, Event::<SlimPod>::Failed(failure()));
    apply(&mut index, Event::<SlimPod>::ListBegun);
    apply(&mut index, listed([pod(2, 2)]));
    let set = apply(&mut index, Event::<SlimPod>::ListDone).unwrap();
    assert_eq!(states(&set), [("10.0.0.2".to_owned(), State::Ready)]);
}

#[test]
fn a_change_that_does_not_touch_the_set_is_no_change() {
    let mut index = synced(rules(), [pod(1, 1)]);
    assert_eq!(apply(&mut index, applied(pod(1, 9))), None);
    assert_eq!(apply(&mut index, applied(json!({"metadata": {"uid": "new"}}))), None);
    assert_eq!(apply(&mut index, Event::<SlimPod>::Deleted(decoded(pod(7, 9)))), None);
}

#[test]
fn an_address_of_two_pods_leaves_with_the_last_one() {
    let mut index = synced(rules(), [named("a", pod(1, 1)), named("b", not_ready(1, 2))]);
    let set = apply(&mut index, applied(named("a", deleting(1, 3)))).unwrap();
    assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::Draining)]);
    let set = apply(&mut index, Event::<SlimPod>::Deleted(decoded(named("a", deleting(1, 4))))).unwrap();
    assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::NotReady)]);
    assert!(apply(&mut index, Event::<SlimPod>::Deleted(decoded(named("b", not_ready(1, 5))))).unwrap().is_empty());
}

#[test]
fn a_name_that_is_reused_is_another_pod() {
    let mut index = synced(rules(), [named("old", pod(1, 1))]);
    apply(&mut index, applied(named("new", with(pod(2, 2), [("/metadata/name", "pod-1".into())]))));
    let set = apply(&mut index, Event::<SlimPod>::Deleted(decoded(named("old", pod(1, 3))))).unwrap();
    assert_eq!(states(&set), [("10.0.0.2".to_owned(), State::Ready)]);
}

#[test]
fn an_ended_pod_never_affects_an_address_that_another_one_has_now() {
    let ended = with(pod(1, 1), [("/status/phase", "Failed".into())]);
    let pods: Vec<Decoded<SlimPod>> = [named("old", ended), named("new", pod(1, 2))].map(decoded).into();
    assert_eq!(states(&complete_set(&[(pods, Arc::default())], &rules())), [("10.0.0.1".to_owned(), State::Ready)]);
}

#[test]
fn draining_backends_that_serve_are_used_only_when_none_is_ready_and_only_if_wanted() {
    let leaving = || [deleting(1, 1), with(deleting(2, 1), [("/status/conditions", json!([]))]), not_ready(3, 1)];
    let ready = |set: Arc<BackendSet>| set.ready().iter().map(|b| b.address().to_string()).collect::<Vec<_>>();
    let fallback = Rules { options: KubeOptions::default().with_draining_fallback(), ..rules() };
    assert_eq!(ready(synced(rules(), leaving()).set().unwrap()), [""; 0]);
    let mut index = synced(fallback, leaving());
    assert_eq!(ready(index.set().unwrap()), ["10.0.0.1:5432"]);
    assert_eq!(ready(apply(&mut index, applied(pod(4, 2))).unwrap()), ["10.0.0.4:5432"]);
}

#[test]
fn each_scope_has_its_own_list_and_its_own_staleness() {
    let mut index = index(rules(), 2);
    for scope in 0..2 {
        assert_eq!(index.set(), None);
        index.apply(scope, Event::<SlimPod>::ListBegun);
        index.apply(scope, listed([pod(u8::try_from(scope).unwrap(), 1)]));
        index.apply(scope, Event::<SlimPod>::ListDone);
    }
    assert_eq!(index.set().unwrap().len(), 2);
    index.apply(1, Event::<SlimPod>::Failed(failure()));
    index.apply(0, Event::<SlimPod>::Fresh);
    assert!(index.stale().is_some());
    index.apply(1, Event::<SlimPod>::Fresh);
    assert!(index.stale().is_none());
}

fn forbidden(what: &str) -> Event<SlimPod> {
    Event::Failed(Error::Forbidden { what: what.into(), cause: Cause::new("scripted") })
}

fn list(index: &mut Index, scope: usize, pods: impl IntoIterator<Item = Value>) -> Effect {
    index.apply(scope, Event::<SlimPod>::ListBegun);
    index.apply(scope, listed(pods));
    index.apply(scope, Event::<SlimPod>::ListDone)
}

#[test]
fn a_scope_that_may_not_be_read_takes_only_its_own_backends_away() {
    let mut index = index(rules(), 3);
    assert!(index.apply(0, forbidden("a")).changed);
    list(&mut index, 1, [pod(1, 1)]);
    assert_eq!(index.set(), None, "the third scope is still unknown");
    list(&mut index, 2, [pod(2, 1)]);
    assert_eq!(index.set().unwrap().len(), 2);
    assert!(index.stale().unwrap().to_string().starts_with("a: forbidden"));

    // An error of another kind in the meantime changes nothing.
    assert!(!index.apply(0, Event::<SlimPod>::Failed(failure())).changed);
    index.apply(1, applied(pod(3, 2)));
    assert_eq!(index.set().unwrap().len(), 3);
    list(&mut index, 0, [pod(4, 1)]);
    assert_eq!((index.set().unwrap().len(), index.stale().is_none()), (4, true));
    index.apply(0, forbidden("a"));
    assert_eq!(index.set().unwrap().len(), 4, "what was known before stays");
}

#[test]
fn scopes_that_may_all_not_be_read_are_no_empty_set() {
    let mut index = index(rules(), 2);
    index.apply(0, forbidden("a"));
    index.apply(1, forbidden("b"));
    assert_eq!(index.set(), None);
    index.apply(0, Event::<SlimPod>::Failed(failure()));
    assert_eq!(index.set(), None);
}

#[test]
fn of_several_scopes_that_fail_the_latest_error_is_reported() {
    let mut index = index(rules(), 2);
    index.apply(0, forbidden("a"));
    index.apply(1, forbidden("b"));
    assert!(index.stale().unwrap().to_string().starts_with("b: "));
    index.apply(0, forbidden("a"));
    assert!(index.stale().unwrap().to_string().starts_with("a: "));
    index.apply(0, Event::<SlimPod>::Fresh);
    assert!(index.stale().unwrap().to_string().starts_with("b: "));
}

#[test]
fn a_list_in_place_of_a_watch_changes_the_set_and_leaves_it_stale() {
    let mut index = synced(rules(), [pod(1, 1)]);
    index.apply(0, Event::<SlimPod>::Failed(failure()));
    index.apply(0, Event::<SlimPod>::ListBegun);
    index.apply(0, listed([pod(2, 2)]));
    let set = apply(&mut index, Event::<SlimPod>::ListDoneUnwatched).unwrap();
    assert_eq!(states(&set), [("10.0.0.2".to_owned(), State::Ready)]);
    assert!(index.stale().is_some());
}

/// Applies a slice of one endpoint: the host `uid` with its address of one family.
fn slice(name: &str, uid: &str, address: &str, ready: bool) -> Event<SlimSlice> {
    Event::Applied(decoded(json!({
        "metadata": {"name": name, "uid": name},
        "ports": [{"name": "db", "port": 5432}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"uid": uid}}],
    })))
}

#[test]
fn slices_are_merged_and_a_host_in_both_families_is_one_backend() {
    let addresses = |families| {
        let mut index = index(Rules { options: KubeOptions::default().with_families(families), ..rules() }, 1);
        index.apply(0, Event::<SlimSlice>::ListDone);
        index.apply(0, slice("v6", "a", "fd00::1", true));
        index.apply(0, slice("v4", "a", "10.0.0.1", true));
        index.apply(0, slice("more", "b", "10.0.0.2", true));
        let set = index.set().unwrap();
        set.iter().map(|b| b.address().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(Families::PreferIpv4), ["10.0.0.1:5432", "10.0.0.2:5432"]);
    assert_eq!(addresses(Families::PreferIpv6), ["10.0.0.2:5432", "[fd00::1]:5432"]);
    assert_eq!(addresses(Families::OnlyIpv6), ["[fd00::1]:5432"]);
}

#[test]
fn an_endpoint_in_two_slices_stays_until_it_is_removed_from_both() {
    let mut index = index(rules(), 1);
    index.apply(0, Event::<SlimSlice>::ListDone);
    apply(&mut index, slice("one", "a", "10.0.0.1", true));
    let set = apply(&mut index, slice("other", "a", "10.0.0.1", false)).unwrap();
    assert_eq!(states(&set), [("10.0.0.1".to_owned(), State::Ready)]);
    let deleted = |name: &str| Event::<SlimSlice>::Deleted(decoded(json!({"metadata": {"uid": name}})));
    assert_eq!(apply(&mut index, deleted("one")).unwrap().count(State::NotReady), 1);
    assert!(apply(&mut index, deleted("other")).unwrap().is_empty());
}

/// Pod of the model.
#[derive(Clone, Debug)]
struct ModelPod {
    uid: u8,
    ip: Option<u8>,
    kind: PodKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum PodKind {
    Ready,
    NotReady,
    Deleting,
    Ended,
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    List(Vec<ModelPod>),
    Done,
    Apply(ModelPod),
    Delete(ModelPod),
    Fresh,
    Fail,
}

fn model_pod() -> impl Strategy<Value = ModelPod> {
    let kind =
        prop_oneof![Just(PodKind::Ready), Just(PodKind::NotReady), Just(PodKind::Deleting), Just(PodKind::Ended)];
    (0..5u8, proptest::option::of(1..4u8), kind).prop_map(|(uid, ip, kind)| ModelPod { uid, ip, kind })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Begin),
        3 => proptest::collection::vec(model_pod(), 0..4).prop_map(Step::List),
        2 => Just(Step::Done),
        6 => model_pod().prop_map(Step::Apply),
        3 => model_pod().prop_map(Step::Delete),
        1 => Just(Step::Fresh),
        2 => Just(Step::Fail),
    ]
}

fn event(step: &Step) -> Event<SlimPod> {
    let json = |model: &ModelPod| -> Decoded<SlimPod> {
        let last = model.ip.unwrap_or_default();
        let pod = match model.kind {
            PodKind::Ready => pod(last, 1),
            PodKind::NotReady => not_ready(last, 1),
            PodKind::Deleting => deleting(last, 1),
            PodKind::Ended => with(pod(last, 1), [("/status/phase", "Succeeded".into())]),
        };
        let pod = if model.ip.is_none() { with(pod, [("/status/podIP", Value::Null)]) } else { pod };
        decoded(named(&model.uid.to_string(), pod))
    };
    match step {
        Step::Begin => Event::ListBegun,
        Step::List(pods) => Event::Listed(pods.iter().map(json).collect()),
        Step::Done => Event::ListDone,
        Step::Apply(pod) => Event::Applied(json(pod)),
        Step::Delete(pod) => Event::Deleted(json(pod)),
        Step::Fresh => Event::Fresh,
        Step::Fail => Event::Failed(failure()),
    }
}

/// Naive index, without regard to cost: it keeps whole pods, and computes the set from scratch.
#[derive(Default)]
struct Model {
    live: BTreeMap<u8, ModelPod>,
    staging: BTreeMap<u8, ModelPod>,
    synced: bool,
    stale: bool,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        self.stale = match step {
            Step::Fail => true,
            Step::Begin | Step::List(_) => self.stale,
            _ => false,
        };
        match step {
            Step::Begin => self.staging.clear(),
            Step::List(pods) => self.staging.extend(pods.iter().map(|p| (p.uid, p.clone()))),
            Step::Done => (self.live, self.synced) = (std::mem::take(&mut self.staging), true),
            Step::Apply(pod) => drop(self.live.insert(pod.uid, pod.clone())),
            Step::Delete(pod) => drop(self.live.remove(&pod.uid)),
            Step::Fresh | Step::Fail => {}
        }
    }

    fn set(&self, fallback: bool) -> Option<BTreeMap<SocketAddr, State>> {
        let at = |ip: u8, kind: PodKind| self.live.values().any(|p| p.ip == Some(ip) && p.kind == kind);
        let mut set = BTreeMap::new();
        for ip in 1..4 {
            let kinds = [
                (PodKind::Ready, State::Ready),
                (PodKind::Deleting, State::Draining),
                (PodKind::NotReady, State::NotReady),
            ];
            if let Some((_, state)) = kinds.into_iter().find(|(kind, _)| at(ip, *kind)) {
                set.insert(SocketAddr::from(([10, 0, 0, ip], 5432)), state);
            }
        }
        if fallback && !set.values().any(|s| *s == State::Ready) {
            set.values_mut().filter(|s| **s == State::Draining).for_each(|s| *s = State::Ready);
        }
        self.synced.then_some(set)
    }
}

proptest! {
    #[test]
    fn after_any_events_the_set_is_that_of_a_naive_model(
        steps in proptest::collection::vec(step(), 0..60),
        fallback: bool,
    ) {
        let options = KubeOptions::default();
        let options = if fallback { options.with_draining_fallback() } else { options };
        let mut index = index(Rules { options, ..rules() }, 1);
        let mut model = Model::default();
        let mut published = None;
        for step in &steps {
            let effect = index.apply(0, event(step));
            model.apply(step);
            prop_assert_eq!(index.stale().is_some(), model.stale);
            prop_assert_eq!(effect.failed, matches!(step, Step::Fail));
            if effect.changed {
                published = index.set();
            }
            // The last published set is still right: no change was missed.
            let states = |set: &BackendSet| set.iter().map(|b| (b.address(), b.state())).collect::<BTreeMap<_, _>>();
            prop_assert_eq!(published.as_deref().map(states), model.set(fallback));
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        mut entries in proptest::collection::vec((0..3u8, 0..3u8, any::<bool>(), any::<bool>()), 0..8),
        seed: u64,
    ) {
        let set = |entries: &[(u8, u8, bool, bool)]| {
            let mut index = index(rules(), 1);
            index.apply(0, Event::<SlimSlice>::ListDone);
            for (n, (uid, last, ready, v6)) in entries.iter().enumerate() {
                let address = if *v6 { format!("fd00::{last}") } else { format!("10.0.0.{last}") };
                index.apply(0, slice(&format!("s{n}"), &uid.to_string(), &address, *ready));
            }
            index.set()
        };
        let one = set(&entries);
        let by = usize::try_from(seed).unwrap_or_default() % entries.len().max(1);
        entries.rotate_left(by);
        entries.reverse();
        prop_assert_eq!(set(&entries), one);
    }
}

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 5432).into()
}

#[test]
fn only_a_pod_that_is_watched_to_go_and_lives_on_has_left_the_selector() {
    let mut index = synced(rules(), [pod(1, 1), pod(2, 1), pod(3, 1)]);
    index.apply(0, Event::Deleted(decoded::<SlimPod>(pod(1, 2))));
    index.apply(0, Event::Deleted(decoded::<SlimPod>(deleting(2, 2))));
    index.apply(0, Event::<SlimPod>::ListBegun);
    index.apply(0, Event::<SlimPod>::ListDone);
    assert!(index.set().unwrap().is_empty());
    assert_eq!(index.take_left_selector(), [address(1)].into(), "2 was deleted, and why 3 is gone is not known");
    assert!(index.take_left_selector().is_empty(), "each is reported once");
}

#[test]
fn a_pod_that_came_back_has_not_left_the_selector() {
    let mut index = synced(rules(), [pod(1, 1)]);
    index.apply(0, Event::Deleted(decoded::<SlimPod>(pod(1, 2))));
    index.apply(0, applied(pod(1, 3)));
    index.apply(0, Event::Deleted(decoded::<SlimPod>(deleting(1, 4))));
    assert!(index.take_left_selector().is_empty());
}

#[test]
fn a_slice_does_not_show_why_its_endpoints_left() {
    let slice = json!({
        "metadata": {"name": "a", "uid": "a", "resourceVersion": "1"},
        "ports": [{"port": 5432, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
    });
    let mut index = index(rules(), 1);
    index.apply(0, Event::<SlimSlice>::ListBegun);
    index.apply(0, Event::Listed(vec![decoded::<SlimSlice>(slice.clone())]));
    index.apply(0, Event::<SlimSlice>::ListDone);
    assert_eq!(index.set().unwrap().len(), 1);
    index.apply(0, Event::Deleted(decoded::<SlimSlice>(slice)));
    assert!(index.take_left_selector().is_empty());
}

#[test]
fn the_moment_of_the_kill_stays_the_same_until_its_date_changes() {
    let killed_at = |index: &mut Index| index.set().unwrap().get(&address(1)).unwrap().killed_at();
    let mut index = synced(rules(), [pod(1, 1)]);
    assert_eq!(killed_at(&mut index), None);
    index.apply(0, applied(deleting(1, 2)));
    let first = killed_at(&mut index).unwrap();
    index.apply(0, applied(deleting(1, 3)));
    index.apply(0, Event::<SlimPod>::ListBegun);
    index.apply(0, listed([deleting(1, 3)]));
    index.apply(0, Event::<SlimPod>::ListDone);
    assert_eq!(killed_at(&mut index), Some(first), "each time it is found out, it would differ");
    let sooner = with(deleting(1, 4), [("/metadata/deletionTimestamp", "2025-12-31T23:59:00Z".into())]);
    index.apply(0, applied(sooner));
    assert!(killed_at(&mut index).unwrap() < first);
    let unknown = with(deleting(1, 5), [("/metadata/deletionTimestamp", "soon".into())]);
    index.apply(0, applied(unknown));
    assert_eq!(killed_at(&mut index), None);
    assert_eq!(index.set().unwrap().count(State::Draining), 1, "it is being deleted all the same");
}
