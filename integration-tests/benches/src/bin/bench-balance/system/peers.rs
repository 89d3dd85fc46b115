//! The peers of ilb: HAProxy and nginx.

use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf, process::Command};

use ilb_testbed::{Process, tools};
use tempfile::TempDir;

/// Starts HAProxy, and returns it with the path of its control socket and its folder.
pub(super) fn start_haproxy(
    balance: &str,
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<(Process, PathBuf, TempDir)> {
    let folder = tempfile::Builder::new().prefix("bench-haproxy-").tempdir()?;
    let socket = folder.path().join("socket");
    let mut text = format!(
        "global\n stats socket {} level admin\n maxconn 8000\ndefaults\n mode tcp\n timeout connect 2s\n \
         timeout client 1h\n timeout server 1h\n option redispatch\nlisten be\n bind {entry}\n balance {balance}\n",
        socket.display()
    );
    for (i, ((backend, capacity), member)) in backends.iter().zip(capacities).zip(members).enumerate() {
        let disabled = if *member { "" } else { "disabled" };
        writeln!(text, " server b{i} {backend} check weight {capacity} {disabled}")?;
    }
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = Command::new(tools::path("haproxy")?);
    command.arg("-db").arg("-f").arg(&file);
    let process = Process::start("haproxy", &command, &folder.path().join("log"))?;
    Ok((process, socket, folder))
}

/// Starts nginx, and returns it with its folder.
pub(super) fn start_nginx(
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<(Process, TempDir)> {
    let folder = tempfile::Builder::new().prefix("bench-nginx-").tempdir()?;
    write_nginx(&folder, entry, backends, capacities, members)?;
    let mut command = Command::new(tools::path("nginx")?);
    command.arg("-c").arg(folder.path().join("nginx.conf"));
    // The workers would outlive a killed master, and would go on listening.
    let process = Process::start_family("nginx", &command, &folder.path().join("log"))?;
    Ok((process, folder))
}

pub(super) fn write_nginx(
    folder: &TempDir,
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<()> {
    let path = folder.path().display();
    let used = backends.iter().zip(capacities).zip(members).filter(|(_, member)| **member);
    let servers: Vec<_> = used.map(|((b, capacity), _)| format!("  server {b} weight={capacity};\n")).collect();
    let servers = servers.concat();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nuser root;\nworker_processes 2;\npid {path}/pid;\n\
         error_log {path}/error.log;\nevents {{ worker_connections 8192; }}\nstream {{\n upstream be {{\n  zone be 1m;\n  \
         least_conn;\n{servers} }}\n server {{\n  listen {entry};\n  proxy_connect_timeout 2s;\n  proxy_timeout 1h;\n  \
         proxy_pass be;\n }}\n}}\n"
    );
    Ok(fs::write(folder.path().join("nginx.conf"), text)?)
}
