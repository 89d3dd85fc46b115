//! The source that reads a file.

mod changes;
mod parse;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

pub use self::changes::FileChanges;
use crate::{
    AddressPolicy, BackendSet, Cause, Discovery, Error, FileReader, SourceInfo, SourceKind, contact::Contact,
    own_addresses::OwnAddresses, publish,
};

/// Discovers the backends that a file lists.
///
/// The file is YAML or JSON: a list of backends, each with an `address` and optionally a `state` (`ready` by default,
/// `draining` or `not ready`), a `capacity` (1 to 16), a `zone`, and the `maxConnections` that it should have:
///
/// ```yaml
/// - address: 10.0.0.1:5432
/// - address: "[fd00::2]:5432"
///   capacity: 2
///   state: draining
///   zone: eu-1a
/// ```
///
/// A file with a mistake in any place is not used at all: the last good set stays, and the error names the line. An
/// address that no backend may have, such as one of this network namespace, is a mistake. An empty file is a mistake too,
/// because most often it is one that is being written; an empty list is written as `[]`. So is a file that is not a regular
/// one, such as a pipe, and one whose file system does not answer within 10 s.
///
/// The file may be a symbolic link, and may be replaced by renaming another one over it, as editors do, or by a change
/// of the link to its folder, as in the volume of a `ConfigMap`. A program that writes into it in place should do so
/// quickly: a half-written file can look complete.
#[derive(Debug)]
pub struct FileDiscovery {
    file: Arc<BackendFile>,
    contact: Contact,
}

#[derive(Clone, Debug)]
struct BackendFile {
    path: PathBuf,
    addresses: AddressPolicy,
    own: OwnAddresses,
}

/// Maximum length of the file: far more than any set that makes sense.
const MAX_FILE_BYTES: u64 = 16 << 20;

impl FileDiscovery {
    /// Discovers the backends in the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let file = BackendFile { path: path.into(), addresses: AddressPolicy::default(), own: OwnAddresses::default() };
        Self { file: Arc::new(file), contact: Contact::default() }
    }

    /// Accepts only the addresses that `policy` does. A file with any other address is refused as a whole.
    #[must_use]
    pub fn with_addresses(mut self, policy: AddressPolicy) -> Self {
        self.file = Arc::new(BackendFile { addresses: policy, ..(*self.file).clone() });
        self
    }
}

#[async_trait]
impl Discovery for FileDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let set = read(&mut self.file.reader(), &self.file).await?;
        self.contact.note();
        Ok(set)
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        let (file, contact) = (Arc::clone(&self.file), self.contact.clone());
        publish::spawn(move |publisher| async move {
            let (mut changes, mut reader) = (FileChanges::start(&file.path).await, file.reader());
            let mut published = None;
            loop {
                match read(&mut reader, &file).await {
                    Ok(set) => {
                        contact.note();
                        publisher.fresh(&set);
                        published = None;
                    }
                    Err(error) => {
                        changes.rewatch().await;
                        // The file is also read without a change: the same error is published once.
                        let text = error.with_causes().to_string();
                        if published.replace(text.clone()).as_deref() != Some(&*text) {
                            publisher.stale(error);
                        }
                    }
                }
                changes.next().await;
            }
        })
    }

    /// Returns at most 10 s while all is well, since the file is read at least that often.
    fn since_contact(&self) -> Option<Duration> {
        self.contact.age()
    }

    fn info(&self) -> Option<SourceInfo> {
        Some(SourceInfo::new(SourceKind::File, self.file.path.display().to_string()))
    }
}

/// Returns the backends in the text of a file, if it is valid.
#[cfg(any(test, fuzzing))]
pub(crate) fn parse(text: &str) -> Result<BackendSet, impl std::fmt::Debug> {
    parse::backends(text, &AddressPolicy::default(), &OwnAddresses::fixed([]))
}

impl BackendFile {
    fn reader(&self) -> FileReader {
        FileReader::new(&self.path, MAX_FILE_BYTES)
    }
}

async fn read(reader: &mut FileReader, file: &BackendFile) -> Result<Arc<BackendSet>, Error> {
    let text = reader.read().await.map_err(|error| Error::Unreachable {
        source_name: file.path.display().to_string(),
        cause: Cause::new(error),
    })?;
    let set = parse::backends(&text, &file.addresses, &file.own);
    set.map(Arc::new).map_err(|parse::Mistake { line, cause }| Error::Malformed {
        path: file.path.clone(),
        line,
        cause,
    })
}

#[cfg(test)]
mod tests;
