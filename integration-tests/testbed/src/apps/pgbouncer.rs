//! A real pgbouncer.

use std::{fs, net::SocketAddr, path::Path};

use super::{
    place::Place,
    postgres::{ACCEPTED, STARTUP, as_nobody, give_away, new_data_folder},
    server::{Server, common_methods},
};
use crate::{Process, Signal};

/// A pgbouncer before one PostgreSQL, as it runs beside that in a pod: transactions of all clients share few connections.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
}

/// Connections to PostgreSQL that the clients share.
const POOL_SIZE: usize = 10;

impl PgBouncer {
    /// Starts pgbouncer at this address before the PostgreSQL at `postgres`, and waits until it answers with what that says.
    /// Clients may use TLS.
    pub async fn start(
        place: impl Into<Place>,
        postgres: SocketAddr,
        certificate: &Path,
        key: &Path,
    ) -> anyhow::Result<Self> {
        let place = place.into();
        let (folder, log) = new_data_folder("pgbouncer")?;
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\n\
             client_tls_sslmode = allow\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\nserver_login_retry = 1\n",
            postgres.ip(),
            postgres.port(),
            place.address.ip(),
            place.address.port(),
            certificate.display(),
            key.display(),
        );
        fs::write(&settings, text)?;
        give_away(&settings)?;
        let mut command = as_nobody("pgbouncer")?;
        command.arg(settings);
        let process = Process::start("pgbouncer", &place.command(&command), &log)?;
        let server = Server::from_process(process, "pgbouncer", place, folder, (STARTUP, ACCEPTED)).await?;
        Ok(Self { server })
    }
}

// At SIGTERM it ends all connections at once; at SIGINT it would wait for transactions first.
common_methods!(PgBouncer, Signal::TERM);
