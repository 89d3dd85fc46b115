//! The server that accepts and limits admin connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use super::routes;
use crate::{observe::insight::Insight, process::logging::DroppedLines};

/// The admin server, bound and not serving yet.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
}

/// Maximum number of concurrent connections; further ones wait in the accept queue.
const MAX_CONNECTIONS: usize = 128;

/// Maximum time for a client to send a request, also the next one on the same connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for which a client may accept no bytes of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of a request with its headers. Bodies are never read.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

impl Admin {
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen at {address} for health, metrics and status: set ILB_ADMIN_ADDRESS to a free address"
            )
        })?;
        Ok(Self { listener })
    }

    /// Serves until it is cancelled.
    pub(crate) async fn serve(self, insight: Insight, dropped_lines: DroppedLines) {
        let router = routes::router(insight, dropped_lines);
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed, so this always returns a permit.
            let permit = Arc::clone(&free).acquire_owned().await;
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        connection(stream, router).await;
                        drop(permit);
                    });
                }
                // It concerns this connection only, or the table of open files is full, which passes.
                Err(error) => {
                    tracing::debug!(%error, "A connection to the admin server could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    // Without a timeout, a client that accepts no bytes would keep the connection open without end.
    let timeout = u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout);
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A connection to the admin server ended");
    }
}

#[cfg(test)]
mod tests;
