//! Compares what is shown with what the model says.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use serde_json::Value;

use crate::{
    fault::Fault,
    model::{Expected, Said},
    seen::{Seen, Weights},
    setup::{EXTRA_POOL, POOLS, Slot},
};

/// A difference between what is shown and what the model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Fault that ilb has not shown yet, if that is the difference.
    pub(crate) fault: Option<Fault>,
    pub(crate) text: String,
}

/// Names and addresses that turn what is shown into the model's terms.
pub(crate) struct Names<'a> {
    /// Host and port of each Traefik, as ilb knows it.
    pub(crate) traefiks: Vec<String>,
    pub(crate) address_of: &'a dyn Fn(Slot) -> SocketAddr,
}

/// Returns all differences.
pub(crate) fn differences(expected: &Expected, seen: &Seen, names: &Names<'_>) -> Vec<Difference> {
    let mut found = Found::default();
    if let (Some((code, text)), Some(ready)) = (&seen.ready, expected.ready) {
        let fault = expected.unready_by.filter(|_| !ready);
        found.check((*code == 200) == ready, fault, || format!("/readyz should be {ready}: {code} {}", text.trim()));
    }
    if let Some(code) = seen.live {
        found.check(code == 200, None, || format!("/livez: {code}"));
    }
    let addresses =
        |slots: &BTreeSet<Slot>| slots.iter().map(|slot| (names.address_of)(*slot)).collect::<BTreeSet<_>>();
    let doubtful = addresses(&expected.doubtful);
    let pools: Vec<_> = expected.pools.iter().map(|slots| slots.as_ref().map(&addresses)).collect();
    if let Some(status) = &seen.status {
        judge_status(expected, status, names, &pools, &mut found);
    }
    let left_out: BTreeMap<_, _> =
        expected.left_out.iter().map(|slot| (slot.pool, (names.address_of)(*slot))).collect();
    for (traefik, has) in &seen.traefiks {
        judge_traefik(*traefik, has, seen.status.as_ref(), &pools, &doubtful, &mut found);
        for (index, weights) in has.iter().enumerate() {
            let Some(weights) = weights else { continue };
            let pool = Pool { traefik: traefik + 1, name: POOLS[index].name };
            judge_weights(pool, weights, expected.counted.contains(&index), left_out.get(&index), &mut found);
        }
    }
    found.0
}

/// A pool of a Traefik, in texts.
#[derive(Clone, Copy)]
struct Pool {
    traefik: usize,
    name: &'static str,
}

/// Judges the weights of a pool: equal ones where connections are not counted, and where they are at least something for
/// each backend that is there, however full; nothing for one that fails.
fn judge_weights(pool: Pool, weights: &Weights, is_counted: bool, left_out: Option<&SocketAddr>, found: &mut Found) {
    let Pool { traefik, name } = pool;
    let sum = |weights: &Vec<u64>| weights.iter().sum::<u64>();
    let text = |what: &str| format!("pool {name}: the weights in Traefik {traefik} {what}: {weights:?}");
    if is_counted {
        let is_used = |(address, weights): (&SocketAddr, &Vec<u64>)| left_out == Some(address) || sum(weights) > 0;
        found.check(weights.iter().all(is_used), None, || text("leave out a backend that works"));
    } else {
        let different: BTreeSet<_> = weights.values().collect();
        found.check(different.len() <= 1 && weights.values().all(|one| sum(one) > 0), None, || text("are not equal"));
    }
    if let Some(address) = left_out {
        let is_left_out = weights.get(address).is_none_or(|weights| sum(weights) == 0);
        found.check(is_left_out, None, || text(&format!("send connections to {address}, which fails")));
    }
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn check(&mut self, holds: bool, fault: Option<Fault>, text: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Difference { fault, text: text() });
        }
    }
}

fn judge_status(
    expected: &Expected,
    status: &Value,
    names: &Names<'_>,
    pools: &[Option<BTreeSet<SocketAddr>>],
    found: &mut Found,
) {
    if let Some(ready) = expected.ready {
        let fault = expected.unready_by.filter(|_| !ready);
        found.check(status["ready"] == ready, fault, || format!("the status should say ready: {ready}"));
    }
    for (traefik, fault) in &expected.rivals {
        found.check(has_rival(status, &names.traefiks[*traefik]), Some(*fault), || {
            format!("the status should say that another program writes to Traefik {}", traefik + 1)
        });
    }
    let texts = strings(&status["degraded"]);
    let said: BTreeMap<Said, &str> = texts.iter().map(|text| (said(text, names), *text)).collect();
    for (must, fault) in &expected.degraded {
        found.check(said.contains_key(must), *fault, || format!("{must:?} is not called degraded: {texts:?}"));
    }
    for (is, text) in &said {
        let is_expected = expected.may_be_degraded.contains(is) || expected.degraded.iter().any(|(must, _)| must == is);
        found.check(is_expected, None, || format!("called degraded without a reason: {text}"));
    }
    for (pool, ready) in POOLS.iter().zip(pools) {
        let Some(ready) = ready else { continue };
        let shown = backends(status, pool.name, |backend| {
            ["ready", "suspect", "failing"].iter().any(|state| backend["state"] == *state)
        });
        found.check(&shown == ready, None, || {
            format!("pool {}: ilb shows {shown:?}, and {ready:?} are ready", pool.name)
        });
    }
}

/// Returns whether the status says that another program keeps writing to a Traefik.
fn has_rival(status: &Value, traefik: &str) -> bool {
    let traefiks = &status["traefik"];
    let instances = traefiks["instances"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_fleet = instances.iter().find(|instance| instance["instance"] == traefik);
    of_fleet.unwrap_or(traefiks)["has_rival"] == true
}

/// Judges the configuration of a Traefik: it has the backends that are ready and work, and what ilb calls acknowledged.
fn judge_traefik(
    traefik: usize,
    has: &[Option<Weights>],
    status: Option<&Value>,
    pools: &[Option<BTreeSet<SocketAddr>>],
    doubtful: &BTreeSet<SocketAddr>,
    found: &mut Found,
) {
    let number = traefik + 1;
    for ((pool, has), ready) in POOLS.iter().zip(has).zip(pools) {
        let Some(has) = has else {
            found.check(ready.is_none(), None, || format!("Traefik {number} does not have pool {}", pool.name));
            continue;
        };
        let (Some(ready), Some(status)) = (ready, status) else { continue };
        let has: BTreeSet<_> = has.keys().copied().collect();
        let holds = has.is_subset(ready) && ready.difference(&has).all(|address| doubtful.contains(address));
        found.check(holds, None, || {
            format!("pool {}: Traefik {number} has {has:?}, and {ready:?} are ready", pool.name)
        });
        let acknowledged =
            backends(status, pool.name, |backend| backend["weights"].as_array().is_some_and(|list| !list.is_empty()));
        found.check(acknowledged == has, None, || {
            format!("pool {}: Traefik {number} has {has:?}, and acknowledged are {acknowledged:?}", pool.name)
        });
    }
}

/// Returns the addresses of a pool's backends in the status that fulfil a condition.
fn backends(status: &Value, pool: &str, condition: impl Fn(&Value) -> bool) -> BTreeSet<SocketAddr> {
    let pools = status["pools"].as_array().into_iter().flatten();
    let backends = pools.filter(|shown| shown["name"] == pool).filter_map(|shown| shown["backends"].as_array());
    let chosen = backends.flatten().filter(|backend| condition(backend));
    chosen.filter_map(|backend| backend["address"].as_str()?.parse().ok()).collect()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Makes a reason of the pool that it is about.
type Meaning = fn(usize) -> Said;

/// Returns what a line of `degraded` means.
fn said(text: &str, names: &Names<'_>) -> Said {
    if text.starts_with("settings: ") {
        return Said::Settings;
    }
    // Of a fleet, each Traefik that refuses it says so, too.
    let extra_pool = format!("pool {EXTRA_POOL}: ");
    if text.starts_with(&extra_pool) || text.contains(&format!(": {extra_pool}")) {
        return Said::ExtraPool;
    }
    let traefik =
        text.strip_prefix("Traefik ").and_then(|rest| names.traefiks.iter().position(|name| rest.starts_with(name)));
    if let Some(traefik) = traefik {
        return Said::Traefik(traefik);
    }
    let pool = POOLS.iter().position(|pool| text.starts_with(&format!("pool {}: ", pool.name)));
    let Some((pool, (_, reason))) = pool.zip(text.split_once(": ")) else { return Said::Other(text.to_owned()) };
    let meanings: [(&str, Meaning); 9] = [
        ("some or all of its backends are not updated", Said::Stale),
        ("its backends are not known", Said::Unknown),
        ("no backend ", Said::NoBackend),
        ("no answer from", Said::Failing),
        ("connections to ", Said::Failing),
        ("round robin instead of least connections", Said::NotCounted),
        ("it has not been pushed", Said::NotInForce),
        ("Traefik ", Said::NotInForce),
        ("the router ", Said::NotInForce),
    ];
    let meaning = meanings.iter().find(|(begin, _)| reason.starts_with(begin));
    meaning.map_or_else(|| Said::Other(text.to_owned()), |(_, said)| said(pool))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;
    use crate::{model::Model, setup::Setup};

    fn address(slot: Slot) -> SocketAddr {
        SocketAddr::from(([127, 9, 0, u8::try_from(slot.index()).unwrap()], 4444))
    }

    fn names() -> Names<'static> {
        Names { traefiks: vec!["127.9.1.1:8080".to_owned()], address_of: &address }
    }

    /// Shows what a system shows in which everything is as in `model`.
    fn shown(model: &Model) -> Seen {
        let backend = |slot| json!({"address": address(slot), "state": "ready", "weights": [1]});
        let pool = |(index, pool): (usize, &crate::setup::PoolSpec)| json!({"name": pool.name, "backends": model.ready_pods(index).into_iter().map(backend).collect::<Vec<_>>()});
        let pools: Vec<_> = POOLS.iter().enumerate().map(pool).collect();
        let weights = |slot| (address(slot), vec![1_000_000]);
        let has = (0..POOLS.len()).map(|pool| Some(model.ready_pods(pool).into_iter().map(weights).collect()));
        Seen {
            status: Some(json!({"ready": true, "degraded": [], "pools": pools})),
            ready: Some((200, "ok".to_owned())),
            live: Some(200),
            traefiks: BTreeMap::from([(0, has.collect())]),
        }
    }

    fn texts(model: &Model, seen: &Seen) -> String {
        differences(&model.expected(), seen, &names()).into_iter().map(|found| found.text + "\n").collect()
    }

    #[test]
    fn nothing_differs_where_all_is_as_the_model_says() {
        let model = Model::new(Setup::Single);
        assert_eq!(texts(&model, &shown(&model)), "");
    }

    #[test]
    fn a_backend_too_many_in_traefik_and_one_too_few_differ() {
        let model = Model::new(Setup::Single);
        let mut seen = shown(&model);
        let pool = seen.traefiks.get_mut(&0).unwrap()[1].as_mut().unwrap();
        pool.insert("127.9.0.99:4444".parse().unwrap(), vec![1_000_000]);
        assert!(texts(&model, &seen).contains("pool carts: Traefik 1 has"));
        let mut seen = shown(&model);
        seen.traefiks.get_mut(&0).unwrap()[2].as_mut().unwrap().pop_first();
        assert!(texts(&model, &seen).contains("pool events: Traefik 1 has"));
    }

    /// Returns what differs if one backend of a pool gets this weight.
    fn with_weight(model: &Model, slot: Slot, weight: u64) -> String {
        let mut seen = shown(model);
        let pool = seen.traefiks.get_mut(&0).unwrap()[slot.pool].as_mut().unwrap();
        pool.insert(address(slot), vec![weight]);
        texts(model, &seen)
    }

    #[test]
    fn weights_must_be_equal_unless_connections_are_counted_and_never_nothing() {
        let (counted, equal) = (Slot { pool: 0, number: 1 }, Slot { pool: 1, number: 1 });
        let single = Model::new(Setup::Single);
        assert_eq!(with_weight(&single, counted, 1_000_007), "", "a head start");
        assert!(with_weight(&single, counted, 0).contains("pool orders: the weights in Traefik 1 leave out a backend"));
        assert!(with_weight(&single, equal, 1_000_001).contains("pool carts: the weights in Traefik 1 are not equal"));
        assert!(with_weight(&Model::new(Setup::Fleet), counted, 1_000_001).contains("pool orders"), "none are counted");
    }

    #[test]
    fn a_backend_that_fails_gets_nothing_and_may_be_left_out() {
        let (mut model, slot) = (Model::new(Setup::Single), Slot { pool: 0, number: 1 });
        model.begin(Fault::ServerCloses(slot), Instant::now());
        let without = |seen: &Seen| texts(&model, seen).lines().filter(|line| line.contains("weights")).count();
        let mut seen = shown(&model);
        assert_eq!(without(&seen), 1, "{}", texts(&model, &seen));
        let pool = seen.traefiks.get_mut(&0).unwrap()[0].as_mut().unwrap();
        pool.insert(address(slot), vec![0]);
        assert_eq!(without(&seen), 0);
        seen.traefiks.get_mut(&0).unwrap()[0].as_mut().unwrap().remove(&address(slot));
        assert_eq!(without(&seen), 0);
    }

    #[test]
    fn readiness_that_is_claimed_differs_and_names_its_fault() {
        let mut model = Model::new(Setup::Single);
        let seen = shown(&model);
        model.begin(Fault::TraefikKilled(0), Instant::now());
        let found = differences(&model.expected(), &Seen { traefiks: BTreeMap::new(), ..seen }, &names());
        assert!(found.iter().any(|found| found.fault == Some(Fault::TraefikKilled(0))), "{found:?}");
    }

    #[test]
    fn a_writer_is_shown_when_it_is_named_and_not_by_one_replaced_configuration() {
        for (setup, place) in [(Setup::Single, "/traefik"), (Setup::Fleet, "/traefik/instances/0")] {
            let mut model = Model::new(setup);
            let mut seen = shown(&model);
            let instances = if setup == Setup::Fleet { json!([{"instance": "127.9.1.1:8080"}]) } else { json!([]) };
            seen.status.as_mut().unwrap()["traefik"] = json!({"instances": instances});
            model.begin(Fault::ForeignWriter(0), Instant::now());
            let named = |seen: &Seen| !texts(&model, seen).contains("another program writes to Traefik 1");
            assert!(!named(&seen));
            seen.status.as_mut().unwrap().pointer_mut(place).unwrap()["has_rival"] = json!(true);
            assert!(named(&seen));
        }
    }

    #[test]
    fn a_refused_pool_is_the_same_whoever_says_so() {
        for text in ["pool extra: no backend", "Traefik 127.9.1.1:8080: pool extra: Traefik has no entry point nowhere"]
        {
            assert_eq!(said(text, &names()), Said::ExtraPool);
        }
        assert_eq!(said("Traefik 127.9.1.1:8080: away", &names()), Said::Traefik(0));
    }

    #[test]
    fn what_is_not_called_degraded_differs_and_what_is_called_so_without_reason_too() {
        let mut model = Model::new(Setup::Single);
        let mut seen = shown(&model);
        model.begin(Fault::RightsRevoked(1), Instant::now());
        assert!(texts(&model, &seen).contains("Stale(1)"));
        seen.status.as_mut().unwrap()["degraded"] = json!([
            "pool carts: some or all of its backends are not updated: forbidden",
            "pool orders: no answer from 1 backend"
        ]);
        assert_eq!(texts(&model, &seen), "called degraded without a reason: pool orders: no answer from 1 backend\n");
    }
}
