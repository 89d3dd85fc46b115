//! Closings as the users of real servers see them: PostgreSQL, Redis, MQTT and NATS, with their usual client libraries.
//!
//! `docs/closing.md` has a table of what these tests assert.

mod mqtt;
mod nats;
mod postgresql;
mod redis;

use std::{net::SocketAddr, time::Duration};

use ilb_connections::{Answered, Closer, Conditions, Connection, How, NotNow, Order, Outcome, Remote};
use ilb_testbed::{CloserProcess, KernelSocket, Privileges, apps, eventually};

use crate::scene::{BACKEND_PORT, FLAGS, Scene, alone};

/// Time for which a connection has to be quiet.
const QUIET: Duration = Duration::from_millis(200);

/// Place for one server behind a real Traefik, and a closer.
struct Stage {
    scene: Scene,
    remote: Remote,
    _closer: CloserProcess,
}

/// Runs the calling test once more in a network namespace of its own, for which the applications are prepared.
fn alone_with_applications(test: &str) -> bool {
    apps::prepare().unwrap();
    alone(test)
}

impl Stage {
    async fn start() -> Self {
        let scene = Scene::start(1).await;
        let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
        Self { scene, remote: Remote::new(closer.socket()), _closer: closer }
    }

    /// Returns the address at which a server has to be started: any of this network namespace, so that observers reach it by
    /// another one than Traefik, and are not taken for connections of Traefik.
    fn server() -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], BACKEND_PORT))
    }

    /// Returns the address by which observers connect.
    fn beside() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], BACKEND_PORT))
    }

    /// Returns the address by which clients connect.
    fn entry(&self) -> SocketAddr {
        self.scene.traefik.entry_point()
    }

    /// Returns the only connection that Traefik has to the server.
    async fn connection(&self) -> Connection {
        self.scene.only_connection().await.0
    }

    /// Waits until Traefik has no connection to the server.
    async fn wait_until_empty(&self) {
        eventually("Traefik has no connection", async || {
            let left = self.scene.connections().await.len();
            anyhow::ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Makes exchanges on the only connection until the kernel shows for certain that the server has answered the last one:
    /// in a quick exchange both times are the same tick of its clock.
    async fn exchange_until_answered(&self, exchange: impl AsyncFn() -> anyhow::Result<()>) -> Connection {
        eventually("the server has answered for certain", async || {
            exchange().await?;
            let connection = self.connection().await;
            anyhow::ensure!(connection.answered == Answered::Yes, "{connection:?}");
            Ok(connection)
        })
        .await
        .unwrap()
    }

    /// Closes this connection as soon as it is answered and quiet.
    async fn close_answered(&self, connection: &Connection) {
        eventually("it is quiet for long enough", async || match self.close(connection, conditions()).await {
            Outcome::Closed => Ok(()),
            outcome => anyhow::bail!("{outcome:?}"),
        })
        .await
        .unwrap();
    }

    /// Waits until the end of a connection has reached a client that does nothing. What it sends before that crosses the
    /// closing: it never reaches the server, and has no answer.
    async fn wait_until_client_is_told(&self) {
        let entry = self.entry().to_string();
        eventually("the client's side is half-closed", async || {
            let sockets = KernelSocket::list()?;
            let is_told = sockets.iter().any(|socket| socket.remote == entry && socket.state == "CLOSE-WAIT");
            anyhow::ensure!(is_told, "not yet");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Closes this connection whatever it does.
    async fn close_any(&self, connection: &Connection) {
        assert_eq!(self.close(connection, Conditions::NONE).await, Outcome::Closed);
    }

    /// Asserts that this connection is not closed, because its last request has no response yet.
    async fn assert_asked(&self, connection: &Connection) {
        assert_eq!(self.close(connection, conditions()).await, Outcome::NotNow(NotNow::NotAnswered));
    }

    async fn close(&self, connection: &Connection, only_if: Conditions) -> Outcome {
        let Connection { backend, local, cookie, .. } = *connection;
        self.remote.close(&Order { backend, local, cookie, how: How::Finish, only_if }).await
    }
}

fn conditions() -> Conditions {
    Conditions::answered_and_quiet_for(QUIET)
}
