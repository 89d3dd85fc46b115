//! Changes of a file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// Waits for the changes of a file, such as one of settings.
///
/// Watches the file's folder instead of the file: a file that is renamed over another is a new file. This also notices
/// the change of the link by which the kubelet replaces the content of a volume.
pub struct FileChanges {
    folder: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

/// Pause after the first sign of a change: programs often change a file in several steps.
const SETTLE_TIME: Duration = Duration::from_millis(50);
/// Interval of checks without a sign of a change: some file systems report none, and a link may lead to another folder.
const RECHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of checks where the folder cannot be watched, such as while it does not exist.
const UNWATCHED_RECHECK_INTERVAL: Duration = Duration::from_secs(1);

impl fmt::Debug for FileChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileChanges").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FileChanges {
    /// Watches for changes of the file at this path, which need not exist yet.
    pub fn new(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut changes = Self { folder: folder.to_owned(), changed: Arc::default(), watcher: None };
        changes.watch();
        changes
    }

    /// Watches the folder again. To be called when the file could not be used: its folder may have been replaced.
    pub fn rewatch(&mut self) {
        self.watch();
    }

    /// Waits until the file may have changed.
    pub async fn next(&mut self) {
        let limit = if self.watcher.is_some() { RECHECK_INTERVAL } else { UNWATCHED_RECHECK_INTERVAL };
        if timeout(limit, self.changed.notified()).await.is_ok() {
            sleep(SETTLE_TIME).await;
        }
        if self.watcher.is_none() {
            self.watch();
        }
    }

    fn watch(&mut self) {
        let changed = Arc::clone(&self.changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the file causes events too.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                changed.notify_one();
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        self.watcher = watching
            .inspect_err(
                |error| tracing::debug!(folder = %self.folder.display(), %error, "the folder cannot be watched"),
            )
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_reported_and_not_only_found_by_a_recheck() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backends.yaml");
        let changes = FileChanges::new(&file);
        std::fs::write(&file, "[]").unwrap();
        // Longer than any system takes to report it.
        timeout(Duration::from_secs(60), changes.changed.notified()).await.unwrap();
    }
}
