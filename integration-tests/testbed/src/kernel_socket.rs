//! The TCP sockets of this network namespace, as `ss` lists them.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context, ensure};

/// A TCP socket of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSocket {
    /// State, such as `ESTAB` or `LISTEN`.
    pub state: String,
    /// Local address.
    pub local: String,
    /// Remote address; that of a listener has the port `*`.
    pub remote: String,
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
}

impl KernelSocket {
    /// Lists all TCP sockets of this network namespace.
    pub fn list() -> anyhow::Result<Vec<Self>> {
        let output = Command::new("ss").args(["-Htane"]).output().context("cannot run ss")?;
        ensure!(output.status.success(), "ss failed");
        String::from_utf8(output.stdout)?.lines().map(Self::parse).collect()
    }

    /// Returns the socket with these addresses.
    pub fn between(local: SocketAddr, remote: SocketAddr) -> anyhow::Result<Self> {
        let (local, remote) = (local.to_string(), remote.to_string());
        let mut sockets = Self::list()?.into_iter();
        sockets
            .find(|socket| (&socket.local, &socket.remote) == (&local, &remote))
            .with_context(|| format!("there is no socket from {local} to {remote}"))
    }

    /// Returns the socket that listens at this address.
    pub fn listening_at(address: SocketAddr) -> anyhow::Result<Self> {
        let local = address.to_string();
        let mut sockets = Self::list()?.into_iter();
        sockets
            .find(|socket| socket.state == "LISTEN" && socket.local == local)
            .with_context(|| format!("nobody listens at {local}"))
    }

    /// Returns `true` if this socket is still there in the same state.
    pub fn is_alive(&self) -> anyhow::Result<bool> {
        Ok(Self::list()?.contains(self))
    }

    fn parse(line: &str) -> anyhow::Result<Self> {
        let mut words = line.split_ascii_whitespace();
        let cookie = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("sk:")).context("no cookie")?;
        let mut next = || words.next().map(ToOwned::to_owned).with_context(|| format!("not a socket: {line}"));
        let (state, _, _) = (next()?, next()?, next()?);
        Ok(Self { state, local: next()?, remote: next()?, cookie: u64::from_str_radix(cookie, 16)? })
    }
}
