//! `ilb bundle`: collects what the report of a fault needs into one file.

mod archive;
mod cluster;
mod redaction;

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PathBufValueParser};
use jiff::Timestamp;

use self::archive::Archive;
use super::remote::{self, Replica};
use crate::{
    exit::{Exit, Failure},
    observe::connections::MAX_ROWS,
    process::runtime::block_on,
};

const FILE: &str = "file";
const CONNECTIONS: &str = "connections";

/// Value of `--file` for stdout.
const STDOUT: &str = "-";

/// Documents of an admin server, and the files that they become.
const DOCUMENTS: [(&str, &str); 3] = [("status", "status.json"), ("events", "events.json"), ("metrics", "metrics.txt")];

pub(super) fn command() -> Command {
    Command::new("bundle")
        .about("Collect what the report of a fault needs into one file")
        .args(remote::flags())
        .arg(
            Arg::new(FILE)
                .short('f')
                .long(FILE)
                .value_name("FILE")
                .value_parser(PathBufValueParser::new())
                .help("File to create, or - for stdout [default: ilb-bundle-TIME.tar]"),
        )
        .arg(
            Arg::new(CONNECTIONS)
                .long(CONNECTIONS)
                .action(ArgAction::SetTrue)
                .help(format!("Also list connections, {MAX_ROWS} of each replica, with the addresses of clients")),
        )
        .after_help("Example: ilb bundle -n my-namespace deploy/my-lb")
        .after_long_help(
            "Writes a tar file with the status, the events and the metrics of each replica. If the replicas are found in a \
             cluster, as `ilb status` finds them, their pods, the last lines of their logs and the objects of their release \
             are in it, too; what may not be read is listed in its manifest.json, and is no failure. Secrets are never read; \
             values of variables that are not settings of ilb, and users and passwords in URLs, are left out. Names and \
             addresses of pods are in it, and whatever Traefik has logged: look through it before you give it away.\n\n\
             Examples:\n  ilb bundle -n my-namespace deploy/my-lb\n  kubectl ilb bundle my-release --connections\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb bundle -f - > bundle.tar",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let mut archive = Archive::new(Timestamp::now());
    let file = matches.get_one::<PathBuf>(FILE).cloned();
    let mut target = Target::open(file.unwrap_or_else(|| format!("{}.tar", archive.name()).into()))?;
    let collected = block_on(collect(matches, &mut archive));
    let written = collected.and_then(|()| Ok(target.write(&archive.to_bytes()?)?));
    if written.is_err() {
        target.remove();
    }
    written?;
    // Stdout may be the bundle.
    let _ = io::stderr().write_all(archive.summary(&target.name()).as_bytes());
    Ok(Exit::Done)
}

async fn collect(matches: &ArgMatches, archive: &mut Archive) -> Result<(), Failure> {
    let replicas = remote::connect(matches).await?;
    for replica in &replicas.list {
        collect_from(replica, matches.get_flag(CONNECTIONS), archive).await;
    }
    if let Some(search) = &replicas.search {
        let pods: Vec<_> = replicas.list.iter().filter_map(|replica| replica.pod.as_ref()).collect();
        cluster::collect(search.client(), &pods, archive).await;
    }
    if archive.is_empty() {
        return Err(Failure::Failed(anyhow!("nothing could be collected: {}", archive.problems().join("; "))));
    }
    Ok(())
}

/// Adds what a replica tells of itself.
async fn collect_from(replica: &Replica, with_connections: bool, archive: &mut Archive) {
    let folder = match &replica.pod {
        Some(pod) => pod.folder(),
        None => "ilb".to_owned(),
    };
    let connections = format!("connections?lone=true&limit={MAX_ROWS}");
    let connections = with_connections.then_some((connections.as_str(), "connections.json"));
    for (document, file) in DOCUMENTS.into_iter().chain(connections) {
        let found = replica.document(document).await;
        archive.take(&format!("{folder}/{file}"), found.map_err(|error| format!("{error:#}")));
    }
}

/// Destination of the bundle.
enum Target {
    Stdout,
    File(PathBuf, File),
}

impl Target {
    /// Creates the file, before anything is asked. One that exists is kept.
    fn open(path: PathBuf) -> Result<Self, Failure> {
        if path.as_os_str() != STDOUT {
            let hint = || format!("cannot create {}: name another with --file, or - for stdout", path.display());
            let file = File::create_new(&path).with_context(hint)?;
            return Ok(Self::File(path, file));
        }
        if io::stdout().is_terminal() {
            return Err(Failure::Invalid(anyhow!(
                "a tar file means nothing on a terminal: redirect it, or name a file"
            )));
        }
        Ok(Self::Stdout)
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = match self {
            Self::Stdout => io::stdout().write_all(bytes),
            Self::File(_, file) => file.write_all(bytes),
        };
        written.with_context(|| format!("cannot write {}", self.name()))
    }

    /// Removes a file that is of no use.
    fn remove(&self) {
        if let Self::File(path, _) = self {
            let _ = std::fs::remove_file(path);
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(path, _) => path.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_kept_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar");
        std::fs::write(&path, "precious").unwrap();
        let Err(Failure::Failed(error)) = Target::open(path.clone()) else { panic!("it was opened") };
        let error = format!("{error:#}");
        assert!(error.contains("b.tar: name another with --file"), "{error}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
    }
}
