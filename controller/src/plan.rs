//! Plans that are made without pushing them.

use ilb_traefik_client::Name;

use crate::{
    desired::{Desired, DesiredPools},
    event::Observer,
    pool::Pool,
};

/// Returns what a controller would push for `pools`, and pushes nothing.
///
/// Waits until each pool knows its backends and, for least connections, their counts. The events of the pools are
/// reported to `observer`.
pub async fn plan(pools: impl IntoIterator<Item = Pool>, observer: &mut dyn Observer) -> DesiredPools {
    let mut desired = DesiredPools::new();
    for pool in pools {
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
