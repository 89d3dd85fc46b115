//! Changes of a file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

/// Waits for the changes of a file, such as one of settings.
///
/// Watches the file's folder instead of the file: a file that is renamed over another is a new file. This also notices
/// the change of the link by which the kubelet replaces the content of a volume. A folder that takes the place of
/// another is watched from then on.
pub struct FileChanges {
    folder: PathBuf,
    changed: Arc<Notify>,
    watched: Option<Watched>,
    /// Attempt to watch the folder that has not ended in time, since its file system does not answer.
    attempt: Option<JoinHandle<Option<Watched>>>,
}

/// Folder that is being watched.
struct Watched {
    _watcher: RecommendedWatcher,
    /// Identity of the folder, with which another one at its path can be recognised.
    identity: Option<(u64, u64)>,
    /// Set when it has been moved or removed.
    is_gone: Arc<AtomicBool>,
}

/// Pause after the first sign of a change: programs often change a file in several steps.
const SETTLE_TIME: Duration = Duration::from_millis(50);
/// Interval of checks without a sign of a change: some file systems report none, and a link may lead to another folder.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of checks where the folder cannot be watched, such as while it does not exist.
const UNWATCHED_RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time of an attempt to watch the folder, which looks it up in its file system.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1);

impl fmt::Debug for FileChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileChanges").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FileChanges {
    /// Watches for changes of the file at this path, which need not exist yet. Has to be called within a Tokio runtime.
    pub async fn start(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut changes = Self { folder: folder.to_owned(), changed: Arc::default(), watched: None, attempt: None };
        changes.rewatch().await;
        changes
    }

    /// Watches the folder again. To be called when the file could not be used: its folder may have been replaced.
    pub async fn rewatch(&mut self) {
        self.watch(|_, _| false).await;
    }

    /// Waits until the file may have changed.
    pub async fn next(&mut self) {
        let limit = if self.watched.is_some() { RECHECK_INTERVAL } else { UNWATCHED_RECHECK_INTERVAL };
        if timeout(limit, self.changed.notified()).await.is_ok() {
            sleep(SETTLE_TIME).await;
        }
        self.watch(Watched::is_there).await;
    }

    /// Watches the folder, unless what is watched may be kept. Waits for the file system on another thread.
    async fn watch(&mut self, may_be_kept: fn(&Watched, &Path) -> bool) {
        let (before, folder, changed) = (self.watched.take(), self.folder.clone(), Arc::clone(&self.changed));
        let attempt = self.attempt.get_or_insert_with(|| {
            spawn_blocking(move || match before {
                Some(before) if may_be_kept(&before, &folder) => Some(before),
                // What was watched before is dropped only after this, so that no change is missed.
                _ => Watched::start(&folder, changed),
            })
        });
        if let Ok(ended) = timeout(WATCH_TIMEOUT, attempt).await {
            (self.watched, self.attempt) = (ended.ok().flatten(), None);
        }
    }
}

impl Watched {
    /// Watches the folder; returns `None` if it cannot be watched.
    fn start(folder: &Path, changed: Arc<Notify>) -> Option<Self> {
        let is_gone = Arc::new(AtomicBool::new(false));
        let (gone, path) = (Arc::clone(&is_gone), folder.to_owned());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the file causes events too.
            let Some(event) = event.ok().filter(|event| !event.kind.is_access()) else { return };
            let is_removal = event.kind.is_remove() || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
            if is_removal && event.paths.contains(&path) {
                gone.store(true, Ordering::Relaxed);
            }
            changed.notify_one();
        });
        let identity = identity(folder);
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(Self { _watcher: watcher, identity, is_gone })
        });
        watching
            .inspect_err(|error| tracing::debug!(folder = %folder.display(), %error, "the folder cannot be watched"))
            .ok()
    }

    /// Returns whether this is still the folder at the path. A parent of it, or a link on the way to it, may lead
    /// elsewhere now, of which there is no sign.
    fn is_there(&self, folder: &Path) -> bool {
        !self.is_gone.load(Ordering::Relaxed) && self.identity == identity(folder)
    }
}

/// Returns what tells a folder from another one at its path; `None` if there is none, or the system has nothing.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(folder).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    impl FileChanges {
        /// Waits for a sign of a change. The limit is longer than any system takes to report one.
        async fn sign(&self) {
            timeout(Duration::from_secs(60), self.changed.notified()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_change_is_reported_and_not_only_found_by_a_recheck() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backends.yaml");
        let changes = FileChanges::start(&file).await;
        fs::write(&file, "[]").unwrap();
        changes.sign().await;
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        let file = folder.join("backends.yaml");
        fs::create_dir(&folder).unwrap();
        let mut changes = FileChanges::start(&file).await;

        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::rename(&folder, parent.path().join("old")).unwrap();
        fs::rename(&other, &folder).unwrap();
        changes.next().await;
        fs::write(&file, "[]").unwrap();
        changes.sign().await;

        // A new folder can get the identity of one that was removed.
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        changes.next().await;
        fs::write(&file, "[]").unwrap();
        changes.sign().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_on_the_way_to_the_folder_that_leads_elsewhere_is_followed() {
        let parent = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| parent.path().join(name));
        for folder in [&one, &other] {
            fs::create_dir_all(folder.join("folder")).unwrap();
        }
        symlink(&one, &link).unwrap();
        let file = link.join("folder/backends.yaml");
        let mut changes = FileChanges::start(&file).await;
        fs::remove_file(&link).unwrap();
        symlink(&other, &link).unwrap();
        changes.next().await; // by the recheck
        tokio::time::resume();
        fs::write(&file, "[]").unwrap();
        changes.sign().await;
    }
}
