//! Plans that are made without pushing them.

use ilb_reconciler::siblings::ReplicaId;
use ilb_siblings::SiblingEvent;
use ilb_traefik_client::Name;
use tokio::time::Instant;

use crate::{
    desired::{Desired, DesiredPools},
    event::{Event, Observer},
    pool::Pool,
};

/// Returns what a controller would push for `pools`, and pushes nothing.
///
/// Waits until each pool knows its backends and, for least connections, their counts. The events of the pools are
/// reported to `observer`.
pub async fn plan(pools: impl IntoIterator<Item = Pool>, observer: &mut dyn Observer) -> DesiredPools {
    planned(pools, None, observer).await
}

/// Returns what the controller of this replica would push for `pools`, after it has heard its siblings, and pushes nothing.
///
/// `events` are those of one round of questions; they are reported to `observer`, as those of the pools are.
pub async fn plan_with_siblings(
    pools: impl IntoIterator<Item = Pool>,
    own: ReplicaId,
    events: &[SiblingEvent],
    observer: &mut dyn Observer,
) -> DesiredPools {
    for event in events {
        observer.on(&Event::Sibling { event });
    }
    planned(pools, Some((own, events)), observer).await
}

async fn planned(
    pools: impl IntoIterator<Item = Pool>,
    siblings: Option<(ReplicaId, &[SiblingEvent])>,
    observer: &mut dyn Observer,
) -> DesiredPools {
    let mut desired = DesiredPools::new();
    for mut pool in pools {
        if let Some((own, events)) = siblings {
            pool.set_replica(own);
            let name = pool.name().to_string();
            for event in events {
                let SiblingEvent::Reported { pools, at, .. } = event else { continue };
                let waited = Instant::now().into_std().saturating_duration_since(*at);
                if let Some(report) = pools.get(&name) {
                    pool.sibling_reported(report.clone().delayed(waited));
                }
            }
        }
        let (name, pool) = first_desired(pool, observer).await;
        desired.insert(name, pool);
    }
    desired
}

async fn first_desired(mut pool: Pool, observer: &mut dyn Observer) -> (Name, Desired) {
    pool.announce(observer);
    loop {
        pool.take_in_set();
        pool.advance(observer);
        if let Some(desired) = pool.desired() {
            pool.plan_closings(observer);
            return (pool.name().clone(), desired);
        }
        let wake_up = pool.next().await;
        pool.handle(wake_up, observer);
    }
}

#[cfg(test)]
mod tests;
