//! Traefik's weighted round robin does what its model in `ilb-reconciler` says; the ladder of weights is proved by that
//! model.

use std::net::SocketAddr;

use ilb_reconciler::{
    Plan, TraefikRoundRobin,
    ladder::{self, LadderInput},
};
use ilb_testbed::{Backend, Behaviour, Net, Traefik, eventually};
use ilb_traefik_client::{ConfigSink, Configuration, Member, TcpPool};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn traefik_picks_what_the_model_picks() {
    let traefik = Traefik::start().await.unwrap();
    let backends = backends(8).await;
    let sink = ilb_traefik_client::Traefik::try_new(&traefik.rest_url()).unwrap();
    for weights in [
        vec![1, 1, 1, 1],
        vec![5, 1, 1],
        vec![6, 4, 2, 2, 4],
        vec![7, 7, 7],
        vec![3, 1, 4, 1, 5, 9, 2, 6],
        vec![1, 1, 1, 3],
        vec![12],
    ] {
        let plan: Plan = backends.iter().map(Backend::address).zip(weights.iter().copied()).collect();
        push(&sink, &plan).await;
        let cycle = usize::try_from(weights.iter().sum::<u32>() / divisor(&weights)).unwrap();
        let picked = picks(&traefik, 2 * cycle).await;
        // The last pass of a cycle serves every entry once, which shows the order into which Traefik has shuffled them.
        let shuffled = &picked[cycle - weights.len()..cycle];
        assert_eq!(picked, model(&plan, shuffled, 2 * cycle), "{weights:?} in the order {shuffled:?}");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn several_entries_per_backend_share_by_capacity_and_fill_what_lacks() {
    let traefik = Traefik::start().await.unwrap();
    let backends = backends(3).await;
    let sink = ilb_traefik_client::Traefik::try_new(&traefik.rest_url()).unwrap();
    let start = [7u32, 3, 0];
    let capacities = [1u8, 2, 4];
    let inputs: Vec<_> = start.iter().zip(capacities).map(|(c, w)| LadderInput::new(*c).with_capacity(w)).collect();
    let weights = ladder::weights(&inputs, 0);
    let plan: Plan = backends.iter().zip(&weights).flat_map(|(b, ws)| ws.iter().map(|w| (b.address(), *w))).collect();
    push(&sink, &plan).await;
    let mut loads: Vec<f64> = start.iter().zip(capacities).map(|(c, w)| f64::from(*c) / f64::from(w)).collect();
    for picked in picks(&traefik, 39 + 35).await {
        let index = backends.iter().position(|b| b.address() == picked).unwrap();
        let least = loads.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(loads[index] < least + 2.0, "backend {index} of {loads:?}");
        loads[index] += 1.0 / f64::from(capacities[index]);
    }
    let (least, most) =
        (loads.iter().copied().fold(f64::INFINITY, f64::min), loads.iter().copied().fold(0.0, f64::max));
    assert!(most - least <= 1.0, "{loads:?}");
}

async fn backends(count: u16) -> Vec<Backend> {
    let group = Net::for_this_process().unwrap().group();
    let mut backends = Vec::new();
    for index in 0..count {
        backends.push(Backend::start(group.address(index, 4444), Behaviour::Echo).await.unwrap());
    }
    backends
}

async fn push(sink: &ilb_traefik_client::Traefik, plan: &Plan) {
    let mut configuration = Configuration::default();
    TcpPool::new("default".parse().unwrap(), "tcp".parse().unwrap())
        .members(plan.entries().iter().map(|entry| Member::new(entry.address, entry.weight)))
        .add_to(&mut configuration);
    // Its API listens a little later than its entry point.
    eventually("the plan is in force", async || Ok(sink.apply(&configuration).await.map(drop)?)).await.unwrap();
}

async fn picks(traefik: &Traefik, count: usize) -> Vec<SocketAddr> {
    let mut picked = Vec::new();
    for _ in 0..count {
        picked.push(traefik.connect().await.unwrap().backend());
    }
    picked
}

fn model(plan: &Plan, order: &[SocketAddr], count: usize) -> Vec<SocketAddr> {
    let weight = |address: &SocketAddr| plan.entries().iter().find(|e| e.address == *address).unwrap().weight;
    let mut round_robin = TraefikRoundRobin::new(&order.iter().map(|address| (*address, weight(address))).collect());
    (0..count).map(|_| round_robin.pick().unwrap()).collect()
}

fn divisor(weights: &[u32]) -> u32 {
    (1..=weights[0]).rev().find(|d| weights.iter().all(|w| w % d == 0)).unwrap()
}
