//! Settings files with a mistake.

use crate::{fault::Mistake, setup::EXTRA_POOL, world::World};

/// Replaces the settings file by one with a mistake.
pub(super) fn write(world: &World, mistake: Mistake) -> anyhow::Result<()> {
    let right = world.settings();
    world.write_settings(&match mistake {
        Mistake::NotYaml => format!("{right}\t- [\n"),
        Mistake::UnknownKey => format!("{right}unknown: 1\n"),
        Mistake::Empty => String::new(),
        Mistake::BadSelector => right.replace("app=backend", "app==="),
    })
}

/// Adds a pool without pods at an entry point that no Traefik has.
pub(super) fn add_pool(world: &World) -> anyhow::Result<()> {
    let pool = format!(
        "- {{name: {EXTRA_POOL}, entryPoint: nowhere, selector: app=none, namespaces: [{}], backendPort: 1}}\n",
        crate::setup::POOLS[0].name
    );
    world.write_settings(&(world.settings() + &pool))
}
