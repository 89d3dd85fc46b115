//! Makes faults, and heals them.

mod admin;
mod log;
mod settings;
pub(crate) mod traefik;

use std::time::Duration;

use ilb_testbed::{FaultProxy, Signal};

use crate::{
    change::{Change, PodState},
    fault::Fault,
    model::Model,
    servers::{Hole, Manner, Server},
    setup::Slot,
    world::World,
};

/// Delay of each piece on a slow connection. Calls need several pieces and have 3 s.
const SLOW: Duration = Duration::from_millis(150);

/// Makes a fault. One that is [instant](Fault::is_instant) is over when this returns.
pub(crate) async fn make(world: &mut World, fault: Fault, model: impl Fn(Slot) -> PodState) -> anyhow::Result<()> {
    match fault {
        Fault::TraefikKilled(traefik) => world.traefiks[traefik].0.kill()?,
        Fault::TraefikStopped(traefik) => world.traefiks[traefik].0.process()?.signal(Signal::STOP)?,
        Fault::TraefikRestarted(traefik) => {
            world.traefiks[traefik].0.kill()?;
            world.traefiks[traefik].0.restart().await?;
        }
        Fault::TraefikBlackHole(traefik) => world.traefiks[traefik].1.pause(),
        Fault::TraefikSlow(traefik) => world.traefiks[traefik].1.delay(SLOW),
        Fault::TraefikCut(traefik) => cut(&world.traefiks[traefik].1),
        Fault::ForeignWrite(traefik) => traefik::write_once(world, traefik).await?,
        Fault::ForeignWriter(traefik) => traefik::keep_writing(world, traefik).await?,
        Fault::TraefikStuck(traefik) => traefik::jam(world, traefik).await?,
        Fault::ApiServerKilled => world.cluster.api_server.kill()?,
        Fault::ApiServerStopped => world.cluster.api_server.freeze()?,
        Fault::ApiServerRestarted => {
            world.cluster.api_server.kill()?;
            world.cluster.api_server.restart().await?;
        }
        Fault::ApiBlackHole => world.cluster.proxy.pause(),
        Fault::ApiSlow => world.cluster.proxy.delay(SLOW),
        Fault::ApiCut => cut(&world.cluster.proxy),
        Fault::Compaction => {
            world.cluster.proxy.refuse();
            world.cluster.proxy.reset();
            world.cluster.advance().await?;
            world.cluster.api_server.compact().await?;
            world.cluster.proxy.heal();
        }
        Fault::EtcdStopped => world.cluster.api_server.freeze_etcd()?,
        Fault::EtcdRestarted => world.cluster.api_server.restart_etcd()?,
        Fault::EtcdLost => lose_etcd(world, model).await?,
        Fault::RightsRevoked(pool) => world.cluster.forbid(pool).await?,
        Fault::TokenRevoked => world.cluster.revoke_token().await?,
        Fault::IlbKilled => world.kill_ilb(),
        Fault::IlbStopped => world.ilb()?.signal(Signal::STOP)?,
        Fault::IlbRestarted => {
            world.kill_ilb();
            world.start_ilb()?;
        }
        Fault::IlbTerminated => {
            world.terminate_ilb().await?;
            world.start_ilb()?;
        }
        Fault::ClockStepped(step) => world.step_clock(Some(step))?,
        Fault::SettingsWrong(mistake) => settings::write(world, mistake)?,
        Fault::PoolRefused => settings::add_pool(world)?,
        Fault::LogNotRead => log::stop_reading(world).await?,
        Fault::AdminFlood => admin::flood(world),
        Fault::ServerRefuses(slot) => {
            world.refusing.insert(slot);
            world.servers.remove(&slot);
        }
        Fault::ServerSwallows(slot) => {
            world.servers.remove(&slot);
            world.holes.insert(slot, Hole::open(world.address(slot)).await?);
        }
        Fault::ServerCloses(slot) => set_manner(world, slot, Manner::Closes),
        Fault::ServerFull(slot) => set_manner(world, slot, Manner::IsFull),
        Fault::PodTerminates(slot) => change_pod(world, slot, PodState::Terminating).await?,
        Fault::PodReplaced(slot) => {
            let address = world.address(slot);
            world.cluster.replace_pod(slot, address.ip()).await?;
        }
        Fault::PodWithoutAddress(slot) => {
            world.start_server(slot).await?;
            world.cluster.create_without_address(slot).await?;
        }
        Fault::PodWithForeignAddress(pool) => world.cluster.create_stranger(pool).await?,
        Fault::PodHostile(pool) => world.cluster.annotate(Slot { pool, number: 0 }).await?,
        Fault::PodsReplaced(_) => {
            for Change { slot, to } in changes_of(fault, &model) {
                change_pod(world, slot, to).await?;
            }
        }
    }
    Ok(())
}

/// Returns the changes of pods that a fault is made of, given the pods before.
pub(crate) fn changes_of(fault: Fault, pod: impl Fn(Slot) -> PodState) -> Vec<Change> {
    match fault {
        Fault::PodTerminates(slot) => vec![Change { slot, to: PodState::Terminating }],
        Fault::PodWithoutAddress(slot) => vec![Change { slot, to: PodState::NotReady }],
        Fault::PodsReplaced(pool) => {
            let other = |state| if state == PodState::Ready { PodState::Absent } else { PodState::Ready };
            let change = |slot| Change { slot, to: other(pod(slot)) };
            // The new ones first, as with a rollout that is as fast as it can be.
            let mut changes: Vec<_> = Slot::all().filter(|slot| slot.pool == pool).map(change).collect();
            changes.sort_by_key(|change| change.to == PodState::Absent);
            changes
        }
        _ => Vec::new(),
    }
}

/// Returns the changes of pods with which a fault is healed.
pub(crate) fn changes_back(fault: Fault) -> Vec<Change> {
    match fault {
        Fault::PodTerminates(slot) | Fault::PodWithoutAddress(slot) => vec![Change { slot, to: PodState::Ready }],
        _ => Vec::new(),
    }
}

async fn change_pod(world: &mut World, slot: Slot, to: PodState) -> anyhow::Result<()> {
    world.change(Change { slot, to }).await
}

/// Ends a fault that lasts.
pub(crate) async fn heal(world: &mut World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::TraefikKilled(traefik) => world.traefiks[traefik].0.restart().await?,
        Fault::TraefikStopped(traefik) => world.traefiks[traefik].0.process()?.signal(Signal::CONT)?,
        Fault::TraefikBlackHole(traefik) | Fault::TraefikSlow(traefik) | Fault::TraefikCut(traefik) => {
            world.traefiks[traefik].1.heal();
        }
        Fault::ForeignWriter(traefik) => traefik::stop_writing(world, traefik).await?,
        Fault::TraefikStuck(traefik) => {
            world.traefiks[traefik].0.kill()?;
            world.traefiks[traefik].0.restart().await?;
        }
        Fault::AdminFlood => world.intruders.abort_all(),
        Fault::ApiServerKilled => world.cluster.api_server.restart().await?,
        Fault::ApiServerStopped => world.cluster.api_server.resume()?,
        Fault::ApiBlackHole | Fault::ApiSlow | Fault::ApiCut => world.cluster.proxy.heal(),
        Fault::EtcdStopped => world.cluster.api_server.resume_etcd()?,
        Fault::RightsRevoked(pool) => world.cluster.allow(pool).await?,
        Fault::TokenRevoked => world.cluster.issue_token().await?,
        Fault::IlbKilled => world.start_ilb()?,
        Fault::IlbStopped => world.ilb()?.signal(Signal::CONT)?,
        Fault::SettingsWrong(_) | Fault::PoolRefused => world.write_settings(&world.settings())?,
        Fault::ClockStepped(_) => world.step_clock(None)?,
        Fault::PodTerminates(_) | Fault::PodWithoutAddress(_) => {
            for Change { slot, to } in changes_back(fault) {
                change_pod(world, slot, to).await?;
            }
        }
        Fault::PodWithForeignAddress(pool) => world.cluster.remove_stranger(pool).await?,
        Fault::LogNotRead => log::read_again(world)?,
        Fault::ServerRefuses(slot) | Fault::ServerSwallows(slot) => {
            world.holes.remove(&slot);
            world.refusing.remove(&slot);
            let server = Server::start(world.address(slot)).await?;
            world.servers.insert(slot, server);
        }
        Fault::ServerCloses(slot) | Fault::ServerFull(slot) => set_manner(world, slot, Manner::Works),
        Fault::TraefikRestarted(_)
        | Fault::ForeignWrite(_)
        | Fault::ApiServerRestarted
        | Fault::Compaction
        | Fault::EtcdRestarted
        | Fault::EtcdLost
        | Fault::IlbRestarted
        | Fault::IlbTerminated
        | Fault::PodReplaced(_)
        | Fault::PodHostile(_)
        | Fault::PodsReplaced(_) => {}
    }
    Ok(())
}

/// Returns what the log has when ilb notices a fault that does not last long enough to be shown.
pub(crate) fn log_lines(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::TraefikRestarted(_) | Fault::ForeignWrite(_) | Fault::TraefikStuck(_) => &[
            "Traefik's configuration is no longer verified",
            "A Traefik does not have the configuration",
            "Another program writes to this Traefik",
            "Failed to update",
        ],
        Fault::ApiServerRestarted | Fault::EtcdRestarted | Fault::EtcdStopped | Fault::EtcdLost | Fault::Compaction => {
            &["Discovery is stale"]
        }
        Fault::ServerRefuses(_) | Fault::ServerSwallows(_) | Fault::ServerCloses(_) | Fault::ServerFull(_) => {
            &["A backend is suspect", "A backend is failing"]
        }
        Fault::PodWithForeignAddress(_) => &["169.254.169.254"],
        _ => &[],
    }
}

fn cut(proxy: &FaultProxy) {
    proxy.refuse();
    proxy.reset();
}

fn set_manner(world: &World, slot: Slot, manner: Manner) {
    if let Some(server) = world.servers.get(&slot) {
        server.set(manner);
    }
}

/// Lets the control plane start without any data, and creates everything again.
async fn lose_etcd(world: &mut World, pod: impl Fn(Slot) -> PodState) -> anyhow::Result<()> {
    // The versions begin at 1 again. Only as long as they are smaller than before is the loss distinguishable from a change.
    world.cluster.advance().await?;
    world.cluster.api_server.lose_all_data().await?;
    world.cluster.create_all().await?;
    for slot in Slot::all() {
        let address = world.address(slot);
        world.cluster.set_pod(slot, pod(slot), address.ip()).await?;
    }
    Ok(())
}

/// Returns the states of pods in a model, for [`make`].
pub(crate) fn pods_of(model: &Model) -> impl Fn(Slot) -> PodState + use<> {
    let pods: std::collections::BTreeMap<_, _> = Slot::all().map(|slot| (slot, model.pod(slot))).collect();
    move |slot| pods.get(&slot).copied().unwrap_or(PodState::Absent)
}
