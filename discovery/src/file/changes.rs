use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// Tells when a file may have changed, such as one of settings.
///
/// The file's folder is watched, not the file: what is renamed over a file is another file. That also sees the change of
/// the link by which the kubelet replaces the content of a volume.
pub struct FileChanges {
    folder: PathBuf,
    news: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

/// What changes a file often does so in several steps.
const SETTLE: Duration = Duration::from_millis(50);
/// How often the file is looked at anyway: some file systems tell nothing, and a link may lead to another folder.
const RECHECK: Duration = Duration::from_secs(10);
/// The same where the folder cannot be watched, such as while it does not exist.
const RECHECK_UNWATCHED: Duration = Duration::from_secs(1);

impl FileChanges {
    /// Of the file at this path, which need not exist yet.
    pub fn new(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut changes = Self { folder: folder.to_owned(), news: Arc::default(), watcher: None };
        changes.watch();
        changes
    }

    /// The file could not be used: its folder may be another one now.
    pub fn rewatch(&mut self) {
        self.watch();
    }

    /// Waits until the file may have changed.
    pub async fn next(&mut self) {
        let limit = if self.watcher.is_some() { RECHECK } else { RECHECK_UNWATCHED };
        if timeout(limit, self.news.notified()).await.is_ok() {
            sleep(SETTLE).await;
        }
        if self.watcher.is_none() {
            self.watch();
        }
    }

    fn watch(&mut self) {
        let news = Arc::clone(&self.news);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the file is an event too.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                news.notify_one();
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        self.watcher = watching
            .inspect_err(|error| tracing::debug!(folder = %self.folder.display(), %error, "the folder is not watched"))
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_and_not_only_found_by_looking_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backends.yaml");
        let changes = FileChanges::new(&file);
        std::fs::write(&file, "[]").unwrap();
        // Longer than any system takes to tell.
        timeout(Duration::from_secs(60), changes.news.notified()).await.unwrap();
    }
}
