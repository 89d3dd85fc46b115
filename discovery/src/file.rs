//! The file source.

mod changes;
mod parse;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use tokio::task;

pub use self::changes::FileChanges;
use crate::{AddressPolicy, BackendSet, Cause, Discovery, Error, contact::Contact, publish};

/// The backends that a file lists, followed as the file changes.
///
/// The file is YAML or JSON: a list of backends, each with an `address`, and where wanted a `state` (`ready` without it,
/// `draining` or `not ready`), a `capacity` (1 to 16) and a `zone`:
///
/// ```yaml
/// - address: 10.0.0.1:5432
/// - address: "[fd00::2]:5432"
///   capacity: 2
///   state: draining
///   zone: eu-1a
/// ```
///
/// A file that is broken in any place is not used at all: the last good set stays, and the error names the line. So does
/// an empty file, which is most often one that is being written; no backends at all are written as `[]`.
///
/// The file may be a symbolic link, and may be replaced by renaming another one over it, as editors do, or by a change
/// of the link to its folder, as in the volume of a `ConfigMap`. Whoever writes into it in place should do so quickly: a
/// half-written file can look whole.
pub struct FileDiscovery {
    file: Arc<Source>,
    contact: Contact,
}

#[derive(Clone)]
struct Source {
    path: PathBuf,
    addresses: AddressPolicy,
}

/// The longest file that is read, in bytes: far more than any set that makes sense.
const LONGEST: u64 = 16 << 20;

impl FileDiscovery {
    /// The backends in the file at `path`. It need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let file = Source { path: path.into(), addresses: AddressPolicy::default() };
        Self { file: Arc::new(file), contact: Contact::default() }
    }

    /// Which addresses may be backends at all. A file with one that may not is broken.
    #[must_use]
    pub fn with_addresses(mut self, policy: AddressPolicy) -> Self {
        self.file = Arc::new(Source { addresses: policy, ..(*self.file).clone() });
        self
    }
}

#[async_trait]
impl Discovery for FileDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let set = read(&self.file).await?;
        self.contact.note();
        Ok(set)
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        let (file, contact) = (Arc::clone(&self.file), self.contact.clone());
        publish::spawn(move |publisher| async move {
            let mut changes = FileChanges::new(&file.path);
            let mut told = None;
            loop {
                match read(&file).await {
                    Ok(set) => {
                        contact.note();
                        publisher.fresh(&set);
                        told = None;
                    }
                    Err(error) => {
                        changes.rewatch();
                        // The file is also read without a change: what has been told already is not told again.
                        let text = error.with_causes().to_string();
                        if told.replace(text.clone()).as_deref() != Some(&*text) {
                            publisher.stale(error);
                        }
                    }
                }
                changes.next().await;
            }
        })
    }

    /// Well: at most 10 s, since the file is read at least that often.
    fn since_contact(&self) -> Option<Duration> {
        self.contact.age()
    }
}

/// Reads the whole file where blocking does no harm.
async fn read(file: &Arc<Source>) -> Result<Arc<BackendSet>, Error> {
    let source = Arc::clone(file);
    let unreachable = |error| Error::Unreachable { source_name: file.path.display().to_string(), cause: error };
    let text = task::spawn_blocking(move || text(&source.path)).await.map_err(|e| unreachable(Cause::new(e)))?;
    let text = text.map_err(|e| unreachable(Cause::new(e)))?;
    let set = parse::backends(&text, &file.addresses);
    set.map(Arc::new).map_err(|parse::Mistake { line, problem }| Error::Malformed {
        path: file.path.clone(),
        line,
        problem,
    })
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > LONGEST) {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
