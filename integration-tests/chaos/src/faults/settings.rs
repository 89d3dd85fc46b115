//! Settings files with a mistake.

use crate::{fault::Mistake, world::World};

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
