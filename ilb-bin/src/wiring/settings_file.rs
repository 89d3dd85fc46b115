//! The settings file while it changes.

use std::{io, path::PathBuf, time::Duration};

use ilb_discovery::{FileChanges, FileReader};
use tokio::time::{Instant, sleep};

use crate::settings::MAX_FILE_BYTES;

/// Waits for changes of the settings file, and tells a finished file from one that is still being written.
///
/// Most programs replace a file as a whole, and so does the kubelet. One that is written in place can be valid YAML or TOML
/// at any moment, with fewer pools. So a text counts only after it has stayed the same for a second, and the text of a
/// writer that has died counts only if it does not end in the middle of a line. A text that has been cut at the end of a
/// line for longer than that cannot be told from a finished one.
pub(super) struct SettingsFile {
    changes: FileChanges,
    reader: FileReader,
    /// The last finished text.
    last: Option<String>,
}

impl SettingsFile {
    /// Time for which a text must stay the same: longer than programs pause between two parts of a small file.
    const REST: Duration = Duration::from_secs(1);
    /// Time after which a text that keeps changing is reported.
    const MAX_UNREST: Duration = Duration::from_secs(10);

    /// Watches the file at `path`, whose present text is taken for a finished one.
    pub(super) async fn watch(path: PathBuf) -> Self {
        let (changes, mut reader) = (FileChanges::start(&path).await, FileReader::new(path, MAX_FILE_BYTES));
        let last = reader.read().await.ok();
        Self { changes, reader, last }
    }

    /// Waits until the file may have changed, and returns its text when it is finished.
    pub(super) async fn next(&mut self) -> io::Result<String> {
        self.changes.next().await;
        let text = self.settled().await?;
        check_end(self.last.as_deref().unwrap_or_default(), &text)?;
        self.last = Some(text.clone());
        Ok(text)
    }

    /// Watches the folder of the file again, because the file could not be used.
    pub(super) async fn rewatch(&mut self) {
        self.changes.rewatch().await;
    }

    async fn settled(&mut self) -> io::Result<String> {
        let (begun, mut text) = (Instant::now(), self.reader.read().await?);
        while self.last.as_ref() != Some(&text) {
            sleep(Self::REST).await;
            let now = self.reader.read().await?;
            if now == text {
                break;
            }
            if begun.elapsed() >= Self::MAX_UNREST {
                return Err(io::Error::other("it has been changing for 10 s without a pause of 1 s"));
            }
            text = now;
        }
        Ok(text)
    }
}

/// Refuses the end of a text that shows that its writer was interrupted. `last` is the finished text before it.
fn check_end(last: &str, text: &str) -> io::Result<()> {
    if text.trim().is_empty() && !last.trim().is_empty() {
        return Err(io::Error::other("it has become empty, as if it were being written: write {} for no settings"));
    }
    // JSON shows its end by a bracket.
    if last.ends_with('\n') && !text.ends_with('\n') && !text.starts_with('{') {
        return Err(io::Error::other(
            "its last line no longer has an end, as if it were being written: end the line, or write the file again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    const BEFORE: &str = "pools:\n- a\n- b\n";

    /// Returns a watched file with the text `BEFORE`.
    async fn watched(name: &str) -> (TempDir, PathBuf, SettingsFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, BEFORE).unwrap();
        let file = SettingsFile::watch(path.clone()).await;
        (folder, path, file)
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_that_is_being_written_counts_when_it_has_stayed_the_same_for_a_second() {
        let (_folder, path, mut file) = watched("ilb.yaml").await;
        let writer = async {
            let mut written = fs::File::create(&path).unwrap();
            for part in ["pools:\n", "- a\n", "# first\n", "# second\n", "# third\n", "# fourth\n", "- b\n"] {
                written.write_all(part.as_bytes()).unwrap();
                sleep(SettingsFile::REST / 2).await;
            }
        };
        let (text, ()) = tokio::join!(file.next(), writer);
        assert_eq!(text.unwrap(), "pools:\n- a\n# first\n# second\n# third\n# fourth\n- b\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_that_keeps_changing_is_reported() {
        let (_folder, path, mut file) = watched("ilb.yaml").await;
        let writer = async {
            for number in 0.. {
                fs::write(&path, format!("{BEFORE}# {number}\n")).unwrap();
                sleep(SettingsFile::REST / 2).await;
            }
        };
        let error = tokio::select! { text = file.next() => text.unwrap_err(), () = writer => unreachable!() };
        assert!(error.to_string().contains("it has been changing for 10 s"), "{error}");
    }

    #[rstest]
    #[case::removed_pool("pools:\n- a\n", None)]
    #[case::no_settings("{}", None)]
    #[case::json(r#"{"pools": []}"#, None)]
    #[case::cut_in_a_line("pools:\n- ", Some("its last line no longer has an end"))]
    #[case::cut_to_nothing("", Some("it has become empty"))]
    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_text_shows_whether_it_was_cut(#[case] text: &str, #[case] problem: Option<&str>) {
        let (_folder, path, mut file) = watched("ilb.yaml").await;
        fs::write(path, text).unwrap();
        match (file.next().await, problem) {
            (Ok(read), None) => assert_eq!(read, text),
            (Err(error), Some(problem)) => assert!(error.to_string().contains(problem), "{error}"),
            (read, _) => panic!("{read:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_never_had_a_last_line_end_needs_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ilb.yaml");
        fs::write(&path, "").unwrap();
        let mut file = SettingsFile::watch(path.clone()).await;
        for text in ["pools: []", "pools: [a]", ""] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.next().await.is_ok(), !text.is_empty(), "{text}");
        }
    }
}
