//! Tests of the file source on real files.

use std::{fs, os::unix::fs::symlink, path::Path};

use futures_util::{FutureExt, StreamExt};

use super::*;

/// Folder with a file that is watched.
struct Watched {
    folder: tempfile::TempDir,
    sets: BoxStream<'static, Result<Arc<BackendSet>, Error>>,
}

impl Watched {
    /// Watches the file `backends.yaml`, which `prepare` may put into the folder first.
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let sets = FileDiscovery::new(folder.path().join("backends.yaml")).watch();
        Self { folder, sets }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the next set, and returns its addresses.
    async fn set(&mut self) -> Vec<String> {
        self.sets.next().await.unwrap().unwrap().iter().map(|b| b.address().to_string()).collect()
    }

    async fn error(&mut self) -> String {
        self.sets.next().await.unwrap().unwrap_err().with_causes().to_string()
    }
}

fn yaml(last: u8) -> String {
    format!("- address: 10.0.0.{last}:1\n")
}

#[tokio::test]
async fn a_file_that_is_rewritten_is_read_again() {
    let mut watched = Watched::new(|folder| fs::write(folder.join("backends.yaml"), yaml(1)).unwrap());
    assert_eq!(watched.set().await, ["10.0.0.1:1"]);
    fs::write(watched.path("backends.yaml"), yaml(2)).unwrap();
    assert_eq!(watched.set().await, ["10.0.0.2:1"]);
}

#[tokio::test]
async fn a_file_that_is_renamed_over_it_is_read() {
    let mut watched = Watched::new(|folder| fs::write(folder.join("backends.yaml"), yaml(1)).unwrap());
    watched.set().await;
    for last in [2, 3] {
        fs::write(watched.path("new"), yaml(last)).unwrap();
        fs::rename(watched.path("new"), watched.path("backends.yaml")).unwrap();
        assert_eq!(watched.set().await, [format!("10.0.0.{last}:1")]);
    }
}

#[tokio::test]
async fn the_swap_of_a_config_maps_link_is_noticed() {
    let version = |folder: &Path, last: u8| {
        let content = folder.join(format!("..{last}"));
        fs::create_dir(&content).unwrap();
        fs::write(content.join("backends.yaml"), yaml(last)).unwrap();
        symlink(content.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    let mut watched = Watched::new(|folder| {
        version(folder, 1);
        symlink("..data/backends.yaml", folder.join("backends.yaml")).unwrap();
    });
    assert_eq!(watched.set().await, ["10.0.0.1:1"]);
    version(watched.folder.path(), 2);
    fs::remove_dir_all(watched.path("..1")).unwrap();
    assert_eq!(watched.set().await, ["10.0.0.2:1"]);
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_set_and_the_error_names_the_line() {
    let mut watched = Watched::new(|folder| fs::write(folder.join("backends.yaml"), yaml(1)).unwrap());
    watched.set().await;
    fs::write(watched.path("new"), yaml(2) + "- address: nowhere\n").unwrap();
    fs::rename(watched.path("new"), watched.path("backends.yaml")).unwrap();
    let error = watched.error().await;
    assert!(error.ends_with("backends.yaml:2: 'nowhere' is not an address such as 10.0.0.1:5432"), "{error}");
    fs::remove_file(watched.path("backends.yaml")).unwrap();
    assert!(watched.error().await.contains("No such file"));
    fs::write(watched.path("backends.yaml"), yaml(1)).unwrap();
    assert_eq!(watched.set().await, ["10.0.0.1:1"], "the same set ends the staleness");
}

#[tokio::test]
async fn a_folder_that_is_created_later_is_watched_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("later/backends.yaml");
    let mut sets = FileDiscovery::new(&file).watch();
    sets.next().await.unwrap().unwrap_err();
    fs::create_dir(folder.path().join("later")).unwrap();
    fs::write(&file, yaml(1)).unwrap();
    while let Err(_absent_or_empty) = sets.next().await.unwrap() {}
    fs::write(&file, yaml(2)).unwrap();
    assert_eq!(sets.next().await.unwrap().unwrap().iter().next().unwrap().address().to_string(), "10.0.0.2:1");
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_changes_the_system_does_not_report_is_read_every_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("real"), yaml(1)).unwrap();
    symlink(elsewhere.path().join("real"), folder.path().join("backends.yaml")).unwrap();
    let file = FileDiscovery::new(folder.path().join("backends.yaml"));
    let mut sets = file.watch();
    sets.next().await.unwrap().unwrap();
    fs::write(elsewhere.path().join("real"), yaml(2)).unwrap();
    assert!(sets.next().now_or_never().is_none());
    assert!(sets.next().await.unwrap().unwrap().get(&"10.0.0.2:1".parse().unwrap()).is_some());
    assert!(file.since_contact().unwrap() <= Duration::from_secs(10));
}

#[tokio::test]
async fn a_file_without_end_is_refused() {
    let error = async |path: &Path| FileDiscovery::new(path).list().await.unwrap_err().with_causes().to_string();
    let long = tempfile::NamedTempFile::new().unwrap();
    long.as_file().set_len(MAX_FILE_BYTES + 1).unwrap();
    for (path, problem) in [(long.path(), "longer than"), (Path::new("/dev/zero"), "not a regular file")] {
        let error = error(path).await;
        assert!(error.contains(problem), "{error}");
    }
}
