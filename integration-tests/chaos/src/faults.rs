//! Makes faults, and heals them.

mod admin;
mod log;
mod settings;
mod traefik;

use std::time::Duration;

use ilb_testbed::{FaultProxy, Signal};

use crate::{
    fault::Fault,
    model::Model,
    servers::{Hole, Manner, Server},
    setup::Slot,
    world::World,
};

/// Delay of each piece on a slow connection. Calls need several pieces and have 3 s.
const SLOW: Duration = Duration::from_millis(150);

/// Makes a fault. One that is [instant](Fault::is_instant) is over when this returns.
pub(crate) async fn make(
    world: &mut World,
    fault: Fault,
    model: impl Fn(Slot) -> crate::schedule::PodState,
) -> anyhow::Result<()> {
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
        Fault::ForeignWriter(traefik) => traefik::keep_writing(world, traefik)?,
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
        Fault::SettingsWrong(mistake) => settings::write(world, mistake)?,
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
    }
    Ok(())
}

/// Ends a fault that lasts.
pub(crate) async fn heal(world: &mut World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::TraefikKilled(traefik) => world.traefiks[traefik].0.restart().await?,
        Fault::TraefikStopped(traefik) => world.traefiks[traefik].0.process()?.signal(Signal::CONT)?,
        Fault::TraefikBlackHole(traefik) | Fault::TraefikSlow(traefik) | Fault::TraefikCut(traefik) => {
            world.traefiks[traefik].1.heal();
        }
        Fault::ForeignWriter(_) | Fault::AdminFlood => world.intruders.abort_all(),
        Fault::ApiServerKilled => world.cluster.api_server.restart().await?,
        Fault::ApiServerStopped => world.cluster.api_server.resume()?,
        Fault::ApiBlackHole | Fault::ApiSlow | Fault::ApiCut => world.cluster.proxy.heal(),
        Fault::EtcdStopped => world.cluster.api_server.resume_etcd()?,
        Fault::RightsRevoked(pool) => world.cluster.allow(pool).await?,
        Fault::TokenRevoked => world.cluster.issue_token().await?,
        Fault::IlbKilled => world.start_ilb()?,
        Fault::IlbStopped => world.ilb()?.signal(Signal::CONT)?,
        Fault::SettingsWrong(_) => world.write_settings(&world.settings())?,
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
        | Fault::IlbRestarted => {}
    }
    Ok(())
}

/// Returns what the log has when ilb notices a fault that does not last long enough to be shown.
pub(crate) fn log_lines(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::TraefikRestarted(_) | Fault::ForeignWrite(_) => &[
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
async fn lose_etcd(world: &mut World, pod: impl Fn(Slot) -> crate::schedule::PodState) -> anyhow::Result<()> {
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
pub(crate) fn pods_of(model: &Model) -> impl Fn(Slot) -> crate::schedule::PodState + use<> {
    let pods: std::collections::BTreeMap<_, _> = Slot::all().map(|slot| (slot, model.pod(slot))).collect();
    move |slot| pods.get(&slot).copied().unwrap_or(crate::schedule::PodState::Absent)
}
