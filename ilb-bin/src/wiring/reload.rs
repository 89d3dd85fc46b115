//! Follows the file of settings while the process runs.

use ilb_controller::PoolChanges;
use ilb_discovery::FileChanges;
use tokio::sync::mpsc;

use super::Pools;
use crate::{
    observe::insight::{Insight, Reload},
    process::logging::LevelHandle,
    settings::{Inputs, Settings},
};

/// Follows the file that `inputs` name, from which `settings` came. Without a file nothing ever comes.
pub(crate) fn start(
    inputs: Inputs,
    settings: Settings,
    factory: Pools,
    level: LevelHandle,
    insight: Insight,
) -> mpsc::Receiver<PoolChanges> {
    let (changes, receiver) = mpsc::channel(1);
    if inputs.file().is_some() {
        let follower = Follower { inputs, settings, factory, level, insight, changes, refused: None };
        tokio::spawn(follower.run());
    }
    receiver
}

struct Follower {
    inputs: Inputs,
    /// Those that hold.
    settings: Settings,
    factory: Pools,
    level: LevelHandle,
    insight: Insight,
    changes: mpsc::Sender<PoolChanges>,
    /// What was wrong with the file at the last look, so that it is told once.
    refused: Option<String>,
}

/// What a change of the settings means.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// The pools that go, by their index among those before.
    gone: Vec<usize>,
    /// The pools that come or change, by their index among those after.
    new: Vec<usize>,
    log_level: bool,
    /// What cannot change while the process runs.
    at_next_start: Vec<&'static str>,
}

impl Follower {
    async fn run(mut self) {
        let Some(path) = self.inputs.file() else { return };
        let mut changes = FileChanges::new(&path);
        loop {
            changes.next().await;
            if self.changes.is_closed() {
                return;
            }
            match Settings::load(&self.inputs) {
                Ok(settings) => self.take(settings).await,
                Err(problems) => {
                    changes.rewatch();
                    self.refuse(problems.iter().collect::<Vec<_>>().join("; "));
                }
            }
        }
    }

    async fn take(&mut self, settings: Settings) {
        let difference = Difference::between(&self.settings, &settings);
        if difference == Difference::default() {
            if self.refused.take().is_some() {
                tracing::info!("The file of settings is again what is in force");
                self.insight.reloaded(Reload::Applied);
            }
            return;
        }
        let changes = match self.pools(&settings, &difference).await {
            Ok(changes) => changes,
            Err(error) => return self.refuse(format!("{error:#}")),
        };
        let names = |pools: &mut dyn Iterator<Item = &str>| pools.collect::<Vec<_>>().join(", ");
        tracing::info!(
            pools = names(&mut changes.added.iter().map(|pool| pool.name().as_str())),
            gone = names(&mut changes.removed.iter().map(ilb_traefik_client::Name::as_str)),
            "Settings changed"
        );
        if !difference.at_next_start.is_empty() {
            let settings = difference.at_next_start.join(", ");
            tracing::warn!(settings, "These settings hold after the next start: restart ilb, no connection is touched");
        }
        if difference.log_level {
            self.level.set(settings.log.level);
        }
        if !(changes.removed.is_empty() && changes.added.is_empty()) {
            let _ = self.changes.send(changes).await;
        }
        self.refused = None;
        self.settings = settings;
        self.insight.reloaded(Reload::Applied);
    }

    async fn pools(&self, settings: &Settings, difference: &Difference) -> anyhow::Result<PoolChanges> {
        let pools = || difference.new.iter().filter_map(|index| settings.pools.get(*index));
        // Making a pool shows it: before that, all of them have to be possible.
        for pool in pools() {
            self.factory.discovery(pool).await?;
        }
        let mut new = Vec::new();
        for pool in pools() {
            new.push(self.factory.pool(pool).await?);
        }
        let gone = difference.gone.iter().filter_map(|index| self.settings.pools.get(*index));
        Ok(PoolChanges { removed: gone.map(|pool| pool.name.clone()).collect(), added: new })
    }

    fn refuse(&mut self, problems: String) {
        if self.refused.as_ref() == Some(&problems) {
            return; // the file is also looked at without a change
        }
        tracing::error!(problems, "Settings refused: those before stay in force");
        self.insight.reloaded(Reload::Refused);
        self.refused = Some(problems);
    }
}

impl Difference {
    fn between(before: &Settings, after: &Settings) -> Self {
        let is_in = |name, settings: &Settings| settings.pools.iter().any(|pool| pool.name == name);
        let indices = |count: usize, is: &dyn Fn(usize) -> bool| (0..count).filter(|index| is(*index)).collect();
        let log_format = before.log.format != after.log.format;
        let fixed = [
            ("log.format", log_format),
            ("admin", before.admin_address != after.admin_address),
            ("traefik", before.traefik != after.traefik),
        ];
        Self {
            gone: indices(before.pools.len(), &|index| !is_in(before.pools[index].name.clone(), after)),
            new: indices(after.pools.len(), &|index| !before.pools.contains(&after.pools[index])),
            log_level: before.log.level != after.log.level,
            at_next_start: fixed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ilb.yaml");
        std::fs::write(&file, text).unwrap();
        Settings::load(&Inputs { file: Some(file), ..Inputs::default() }).unwrap()
    }

    const BEFORE: &str = "\
pools:
- {name: a, selector: app=a, entryPoint: a}
- {name: b, selector: app=b, entryPoint: b}
";

    #[rstest]
    #[case::nothing(BEFORE, &[], &[])]
    #[case::comments_and_order(
        "# new\npools:\n- {selector: app=b, name: b, entryPoint: b}\n\n- {name: a, selector: app=a, entryPoint: a}\n",
        &[], &[]
    )]
    #[case::changed("pools:\n- {name: a, selector: app=a, entryPoint: a}\n- {name: b, selector: app=c, entryPoint: b}\n", &[], &[1])]
    #[case::renamed("pools:\n- {name: a, selector: app=a, entryPoint: a}\n- {name: c, selector: app=b, entryPoint: b}\n", &[1], &[1])]
    #[case::gone("pools:\n- {name: a, selector: app=a, entryPoint: a}\n", &[1], &[])]
    fn only_pools_that_differ_are_touched(#[case] after: &str, #[case] gone: &[usize], #[case] new: &[usize]) {
        let difference = Difference::between(&settings(BEFORE), &settings(after));
        assert_eq!((difference.gone.as_slice(), difference.new.as_slice()), (gone, new));
        assert!(!difference.log_level && difference.at_next_start.is_empty());
    }

    #[test]
    fn what_cannot_change_while_the_process_runs_is_named() {
        let after = format!(
            "{BEFORE}admin: {{address: '127.0.0.1:1'}}\ntraefik: {{urls: [http://a]}}\nlog: {{level: debug}}\n"
        );
        let difference = Difference::between(&settings(BEFORE), &settings(&after));
        assert_eq!(difference.at_next_start, ["admin", "traefik"]);
        assert!(difference.log_level && difference.new.is_empty());
    }
}
