//! Reading of a file whose file system may not answer.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

/// Reads a file whole, again and again, such as one of settings.
///
/// The task that reads never blocks: a volume that does not answer, such as one in a network, costs a thread and leads to
/// an error after 10 s. Until that read ends, no other one is begun.
#[derive(Debug)]
pub struct FileReader {
    path: PathBuf,
    max_bytes: u64,
    /// Read in progress, or one that has not ended in time.
    reading: Option<JoinHandle<io::Result<String>>>,
}

impl FileReader {
    /// Maximum time of a read.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Creates a reader of the file at `path`, which need not exist yet and may have `max_bytes`.
    pub fn new(path: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self { path: path.into(), max_bytes, reading: None }
    }

    /// Returns the text of the file. Has to be called within a Tokio runtime.
    ///
    /// Returns an error if it is longer than the maximum, is not a regular file (a pipe may never end), or is not read
    /// within [`TIMEOUT`](Self::TIMEOUT).
    pub async fn read(&mut self) -> io::Result<String> {
        let (path, max_bytes) = (self.path.clone(), self.max_bytes);
        self.read_by(move || read(&path, max_bytes)).await
    }

    /// Returns the text of the file like [`read`](Self::read), and waits for the file system as long as it takes.
    pub fn read_now(&self) -> io::Result<String> {
        read(&self.path, self.max_bytes)
    }

    async fn read_by(&mut self, read: impl FnOnce() -> io::Result<String> + Send + 'static) -> io::Result<String> {
        let result = timeout(Self::TIMEOUT, async {
            // The text of an earlier read may be older than this call.
            if let Some(earlier) = &mut self.reading {
                let _ = earlier.await;
            }
            self.reading.insert(spawn_blocking(read)).await.map_err(io::Error::other)?
        });
        let no_answer = || io::Error::new(io::ErrorKind::TimedOut, "its file system has not answered for 10 s");
        let result = result.await.map_err(|_| no_answer())?;
        self.reading = None;
        result
    }
}

fn read(path: &Path, max_bytes: u64) -> io::Result<String> {
    // To open a pipe would block until another process opens it for writing.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let length = File::open(path)?.take(max_bytes.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > max_bytes) {
        return Err(io::Error::other(format!("it is longer than {max_bytes} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[test]
    fn only_a_regular_file_of_the_given_length_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(FileReader::new(&file, 5).read_now().unwrap(), "12345");
        assert!(FileReader::new(&file, 4).read_now().unwrap_err().to_string().contains("longer than 4 bytes"));
        for other in [folder.path(), Path::new("/dev/zero")] {
            assert!(FileReader::new(other, 5).read_now().unwrap_err().to_string().contains("not a regular file"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_costs_one_thread_and_no_more_than_the_timeout() {
        let mut reader = FileReader::new("/nowhere", 1);
        let (answer, answers) = mpsc::channel();
        let first = reader.read_by(move || Ok(answers.recv().unwrap()));
        let (result, ()) = tokio::join!(first, advance(FileReader::TIMEOUT));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let second = reader.read_by(|| unreachable!("while the first read has not ended"));
        let (result, ()) = tokio::join!(second, advance(FileReader::TIMEOUT));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let mut third = Box::pin(reader.read_by(|| Ok("new".to_owned())));
        assert!((&mut third).now_or_never().is_none());
        answer.send("old".to_owned()).unwrap();
        assert_eq!(third.await.unwrap(), "new");
    }
}
