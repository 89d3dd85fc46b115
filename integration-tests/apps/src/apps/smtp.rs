//! Mail servers that speak first, begin TLS within the connection, and are told the clients' addresses by the PROXY protocol.

use std::fs;

use anyhow::{Context, ensure};
use ilb_testbed::apps::Program;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    application::{Application, count},
    certificate::Certificate,
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

pub(crate) struct Smtp {
    certificate: Certificate,
    /// Folder in which all servers store what they have accepted.
    folder: TempDir,
    servers: Servers<Program>,
}

const POOL: &str = "smtp";
/// Address of the clients, which the servers see only by the PROXY protocol.
const CLIENT: &str = "127.0.0.1";

impl Application for Smtp {
    type Server = Program;

    const NAME: &'static str = "smtp";
    const EXAMPLE: &'static str = "smtp-values.yaml";
    const GUIDE: &'static str = include_str!("../page/smtp.md");
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let certificate = Certificate::for_address(cluster.entry(POOL)?.ip())?;
        let folder = tempfile::Builder::new().prefix("ilb-apps-mail-").tempdir()?;
        Ok(Self { certificate, folder, servers: Servers::default() })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        let (certificate, key) = (self.certificate.certificate(), self.certificate.key());
        Program::mail(cluster.place(POOL, index)?, &certificate, &key, self.folder.path()).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        let options = json!({"authority": self.certificate.authority()});
        Ok(vec![(POOL, Load { script: "use_smtp.py", clients: 40, stores: true, pause: 0.5, options })])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a name that is no text")?;
            if name.contains(".new") {
                continue;
            }
            let client = fs::read_to_string(entry.path())?;
            ensure!(client.contains(CLIENT), "the client of message {name} is {client}");
            names.push(name);
        }
        Ok(Some(count(names.iter().map(|name| name.trim_end_matches('+')))?))
    }
}
