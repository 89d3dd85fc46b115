//! Reloads the settings file when it changes, while the process runs.

use ilb_controller::PoolChanges;
use ilb_traefik_client::Name;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{pools::PoolFactory, settings_file::SettingsFile};
use crate::{
    observe::{SettingsEvent, SettingsObserver},
    process::logging::Log,
    settings::{Inputs, Settings},
};

/// Starts to watch the settings file, and returns the changes that it makes to the pools. Without a file there are none.
pub(crate) fn start(reloader: Reloader) -> mpsc::Receiver<PoolChanges> {
    let (changes, receiver) = mpsc::channel(1);
    if reloader.inputs.file().is_some() {
        tokio::spawn(reloader.run(changes));
    }
    receiver
}

/// Applies changes of the settings file.
pub(crate) struct Reloader {
    inputs: Inputs,
    /// The settings in effect.
    settings: Settings,
    factory: PoolFactory,
    log: Log,
    observer: SettingsObserver,
    /// Problems of the file when it was loaded last, so that they are reported once.
    refused: Option<String>,
}

/// Difference between the settings in effect and changed ones.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Pools that exist no longer, by their index in the settings in effect.
    removed: Vec<usize>,
    /// Pools that are new or have changed, by their index in the changed settings.
    added: Vec<usize>,
    log: bool,
    links: bool,
    /// Settings that take effect only at the next start.
    pending: Vec<&'static str>,
}

impl Reloader {
    /// Creates a reloader of the file that `inputs` name and that `settings` were loaded from.
    pub(crate) fn new(
        inputs: Inputs,
        settings: Settings,
        factory: PoolFactory,
        log: Log,
        observer: SettingsObserver,
    ) -> Self {
        Self { inputs, settings, factory, log, observer, refused: None }
    }

    async fn run(mut self, sender: mpsc::Sender<PoolChanges>) {
        let Some(path) = self.inputs.file() else { return };
        let mut file = SettingsFile::watch(path).await;
        loop {
            let (text, inputs) = (file.next().await, self.inputs.clone());
            if sender.is_closed() {
                return;
            }
            // Not on this thread: a long file, or one with many URLs, takes long to check.
            match spawn_blocking(move || Settings::from_text(&inputs, text)).await {
                Ok(Ok(settings)) => self.apply(settings, &sender).await,
                Ok(Err(problems)) => {
                    file.rewatch().await;
                    self.refuse(problems.iter().collect::<Vec<_>>().join("; "));
                }
                Err(error) => self.refuse(error.to_string()),
            }
        }
    }

    async fn apply(&mut self, settings: Settings, sender: &mpsc::Sender<PoolChanges>) {
        self.observer.expect_siblings(settings.expect_siblings);
        let difference = Difference::between(&self.settings, &settings);
        if difference == Difference::default() {
            if self.refused.take().is_some() {
                self.observer.on(&SettingsEvent::Restored);
            }
            return;
        }
        let changes = match self.pool_changes(&settings, &difference).await {
            Ok(changes) => changes,
            Err(error) => return self.refuse(format!("{error:#}")),
        };
        let added: Vec<_> = changes.added.iter().map(|pool| pool.name().clone()).collect();
        let removed = changes.removed.clone();
        if !(removed.is_empty() && added.is_empty()) {
            let _ = sender.send(changes).await;
        }
        self.observer.on(&SettingsEvent::Applied { added: &added, removed: &removed, pending: &difference.pending });
        if difference.links {
            self.observer.backend_links(&settings.backend_links);
        }
        if difference.log {
            self.log.set(&settings.log);
        }
        self.refused = None;
        self.settings = settings;
    }

    async fn pool_changes(&self, settings: &Settings, difference: &Difference) -> anyhow::Result<PoolChanges> {
        let pools = || difference.added.iter().filter_map(|index| settings.pools.get(*index));
        // Building a pool logs that it starts, so first check that all of them can be built.
        for pool in pools() {
            self.factory.build_discovery(pool).await?;
        }
        let mut added = Vec::new();
        for pool in pools() {
            added.push(self.factory.build_pool(pool).await?);
        }
        let removed = difference.removed.iter().filter_map(|index| self.settings.pools.get(*index));
        Ok(PoolChanges { removed: removed.map(|pool| pool.name.clone()).collect(), added })
    }

    fn refuse(&mut self, problems: String) {
        if self.refused.as_ref() == Some(&problems) {
            return; // the file is also loaded when it has not changed
        }
        self.observer.on(&SettingsEvent::Refused { problems: &problems });
        self.refused = Some(problems);
    }
}

impl Difference {
    fn between(current: &Settings, changed: &Settings) -> Self {
        let is_in = |name: &Name, settings: &Settings| settings.pools.iter().any(|pool| pool.name == *name);
        let indices = |count: usize, is: &dyn Fn(usize) -> bool| (0..count).filter(|index| is(*index)).collect();
        let fixed = [
            ("admin", current.admin != changed.admin),
            ("traefik", current.traefik != changed.traefik),
            ("closer", current.closer_socket != changed.closer_socket),
            ("siblings", current.siblings != changed.siblings),
            ("instance", current.instance != changed.instance),
            ("connectionLog", current.connection_log != changed.connection_log),
            ("kubernetesEvents", current.kubernetes_events != changed.kubernetes_events),
        ];
        Self {
            removed: indices(current.pools.len(), &|index| !is_in(&current.pools[index].name, changed)),
            added: indices(changed.pools.len(), &|index| !current.pools.contains(&changed.pools[index])),
            log: current.log != changed.log,
            links: current.backend_links != changed.backend_links,
            pending: fixed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect(),
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
    #[case::removed("pools:\n- {name: a, selector: app=a, entryPoint: a}\n", &[1], &[])]
    fn only_pools_that_differ_are_touched(#[case] after: &str, #[case] removed: &[usize], #[case] added: &[usize]) {
        let difference = Difference::between(&settings(BEFORE), &settings(after));
        assert_eq!((difference.removed.as_slice(), difference.added.as_slice()), (removed, added));
        assert!(!difference.log && difference.pending.is_empty());
    }

    #[test]
    fn what_cannot_change_while_the_process_runs_is_named() {
        let after = format!(
            "{BEFORE}admin: {{address: '127.0.0.1:1'}}\ntraefik: {{urls: [http://a]}}\ncloser: {{socket: /run/s}}\nsiblings: [s]\nconnectionLog: {{enabled: true}}\ninstance: {{pod: a}}\nlog: {{level: debug}}\nbackendLinks: [a=http://b]\n"
        );
        let difference = Difference::between(&settings(BEFORE), &settings(&after));
        assert_eq!(difference.pending, ["admin", "traefik", "closer", "siblings", "instance", "connectionLog"]);
        assert!(difference.log && difference.links && difference.added.is_empty());
    }
}
