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
use crate::observe::insight::Insight;

/// The admin server, bound and not serving yet.
pub(crate) struct Admin {
    listener: TcpListener,
}

/// So many connections are served at a time; more wait in the kernel.
const MOST_CONNECTIONS: usize = 128;

/// How long a client may take to send its request, also the next one on the same connection.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may take no bytes of an answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// How long a request with its headers may be. Bodies are never read.
const LONGEST_REQUEST: usize = 16 * 1024;

impl Admin {
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen at {address} for health, metrics and status: set ILB_ADMIN_ADDRESS to a free address"
            )
        })?;
        Ok(Self { listener })
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, insight: Insight) {
        let router = routes::router(insight);
        let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            // A semaphore that nobody closes always gives a permit.
            let permit = Arc::clone(&free).acquire_owned().await;
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        connection(stream, router).await;
                        drop(permit);
                    });
                }
                // Of that one connection, or of a full table of files, which passes.
                Err(error) => {
                    tracing::debug!(%error, "A connection to the admin server could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    // Without it, somebody who takes no bytes would hold the connection for ever.
    let timeout = u32::try_from(TAKEN_WITHIN.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout);
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(LONGEST_REQUEST)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A connection to the admin server ended");
    }
}

#[cfg(test)]
mod tests;
