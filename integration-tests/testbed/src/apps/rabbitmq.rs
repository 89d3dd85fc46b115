//! A real RabbitMQ.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    process::Command,
};

use anyhow::Context;
use serde_json::json;

use super::{
    place::Place,
    postgres::output,
    server::{Server, common_methods, new_folder},
};
use crate::{Network, Process, Signal, tools};

/// A node of a cluster of RabbitMQ, which lets everybody in as `guest`.
#[derive(Debug)]
pub struct RabbitMq {
    server: Server,
}

/// The program by which the nodes in a network find each other's ports. It has to run before the first of them, which
/// otherwise would look for it in the folders of an installed Erlang.
#[derive(Debug)]
pub struct PortMapper {
    _process: Process,
    _folder: tempfile::TempDir,
}

/// Header with which a client of AMQP 0-9-1 begins.
const HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// Beginning of a method on channel 0, such as `connection.start`.
const METHOD: &[u8] = &[1, 0, 0];
/// Secret that nodes of a cluster and their tools share.
const COOKIE: &str = "tests";

impl PortMapper {
    /// Starts it in this network.
    pub fn start(network: &Network) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("epmd")?;
        let program = tools::path("rabbitmq-server")?.join("bin/epmd");
        let process = Process::start("epmd", &network.command(&Command::new(program)), &log)?;
        Ok(Self { _process: process, _folder: folder })
    }
}

impl RabbitMq {
    /// Starts the first node of a cluster at this address, and waits until it answers.
    pub async fn start(place: impl Into<Place>) -> anyhow::Result<Self> {
        Self::with(place.into(), None).await
    }

    /// Starts a node that joins the cluster of the one at `other`, and waits until it answers.
    pub async fn joining(place: impl Into<Place>, other: SocketAddr) -> anyhow::Result<Self> {
        Self::with(place.into(), Some(other)).await
    }

    async fn with(place: Place, other: Option<SocketAddr>) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("rabbitmq")?;
        let (path, ip) = (folder.path(), place.address.ip());
        let peers = [ip].into_iter().chain(other.map(|other| other.ip()));
        let peers = (1..).zip(peers).map(|(number, ip)| {
            let node = node(ip);
            format!("cluster_formation.classic_config.nodes.{number} = {node}\n")
        });
        let settings = format!(
            "listeners.tcp.1 = {}\nloopback_users = none\nlog.console = true\nlog.console.level = warning\nlog.file = false\n\
             cluster_formation.peer_discovery_backend = classic_config\n{}",
            place.address,
            peers.collect::<String>()
        );
        let file = path.join("rabbitmq.conf");
        fs::write(&file, settings)?;
        let mut command = Command::new(tools::path("rabbitmq-server")?.join("bin/rabbitmq-server"));
        let variables = [
            ("RABBITMQ_NODENAME", node(ip)),
            ("RABBITMQ_USE_LONGNAME", "true".to_owned()),
            // The server is this process then, and not a child of a script.
            ("RUNNING_UNDER_SYSTEMD", "1".to_owned()),
            ("RABBITMQ_DIST_PORT", distribution_port(ip).to_string()),
            // One scheduler and its usual memory, because all nodes share this machine.
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("-setcookie {COOKIE} +S 1:1 +sbwt none")),
        ];
        command.envs(variables).env("HOME", path).env("RABBITMQ_BASE", path).env("RABBITMQ_CONFIG_FILE", &file);
        for (name, file) in [
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log-folder"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_PID_FILE", "pid"),
        ] {
            command.env(name, path.join(file));
        }
        let process = Process::start("rabbitmq", &place.command(&command), &log)?;
        Ok(Self { server: Server::from_process(process, "rabbitmq", place, folder, (HEADER, METHOD)).await? })
    }

    /// Declares a quorum queue, of which this node is the only member yet.
    pub async fn declare(&self, queue: &str) -> anyhow::Result<()> {
        let file = self.server.folder().join("definitions.json");
        let arguments = json!({"x-queue-type": "quorum"});
        let queue = json!({"name": queue, "vhost": "/", "durable": true, "auto_delete": false, "arguments": arguments});
        fs::write(&file, json!({"queues": [queue]}).to_string())?;
        let file = file.to_str().context("a path that is no text")?;
        self.run("rabbitmqctl", &["import_definitions", file]).await
    }

    /// Makes the node at `other` a member of a quorum queue.
    pub async fn add_member(&self, queue: &str, other: IpAddr) -> anyhow::Result<()> {
        self.run("rabbitmq-queues", &["add_member", queue, &node(other)]).await
    }

    /// Takes a node that does not run any more out of the cluster and its queues.
    pub async fn forget(&self, other: IpAddr) -> anyhow::Result<()> {
        self.run("rabbitmqctl", &["forget_cluster_node", &node(other)]).await
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(tools::path("rabbitmq-server")?.join("bin").join(program));
        command.args(["--longnames", "--quiet", "--erlang-cookie", COOKIE, "--node", &node(self.address().ip())]);
        command.args(arguments).env("HOME", self.server.folder());
        output(self.server.place().command(&command), program).await.map(drop)
    }
}

// At SIGTERM it closes its connections and its queues first.
common_methods!(RabbitMq, Signal::TERM);

/// Returns the name of the node at this address.
fn node(ip: IpAddr) -> String {
    format!("rabbit-{}@{ip}", distribution_port(ip))
}

/// Returns the port by which other nodes reach the one at this address: nodes listen at it on all addresses of the network.
fn distribution_port(ip: IpAddr) -> u16 {
    let last = match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    25_000 + u16::from(last)
}
