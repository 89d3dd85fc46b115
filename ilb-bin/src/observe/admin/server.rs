//! The admin server: two threads, one that accepts connections and answers probes, and one for everything else.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use ilb_siblings::OwnReports;
use tokio::{
    net::TcpStream,
    runtime,
    sync::{mpsc, watch},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    connection::{REQUEST_TIMEOUT, Requests, serve},
    connection_page,
    first_line::FirstLine,
    host::AllowedHosts,
    listener::listen,
    places::{Doing, Limits, Place, Places},
    routes, siblings,
};
use crate::{
    observe::{connections::ConnectionTable, insight::Insight},
    process::logging::DroppedLines,
    settings::AdminSettings,
};

/// The admin server, bound and not serving yet.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    hosts: AllowedHosts,
    /// Reports for the siblings; `None` if there is no exchange with any.
    reports: Option<watch::Receiver<OwnReports>>,
    /// The connections of clients; `None` in a test without them.
    connections: Option<ConnectionTable>,
}

/// A connection that is passed on, because its first request is not a probe.
struct PassedOn {
    stream: std::net::TcpStream,
    peer: IpAddr,
    first_line: FirstLine,
}

/// Places of connections that have not sent a request yet, or are being answered a probe. A probe may come from an address that
/// also floods this port, since all pods in the network of the node have the kubelet's. So there are as many for one peer as
/// can be opened while a request is on its way: at 20 000 connections a second, within 12 ms.
const FRONT_LIMITS: Limits = Limits { total: 512, per_peer: 256 };

/// Places of all other connections.
const PAGES_LIMITS: Limits = Limits { total: 128, per_peer: 64 };

/// Maximum number of connections on the way from one thread to the other. Further ones are closed.
const MAX_PASSED_ON: usize = 64;

/// Number of connections, or other events, after which a thread looks for what has arrived in the meantime, however many more
/// of them there are: much less than a peer has places.
const EVENT_INTERVAL: u32 = 8;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Niceness of the thread that serves pages: the controller's thread gets three times as much of a busy processor.
const PAGES_NICENESS: i32 = 5;

impl Admin {
    /// Binds the server to its address. Has to be called within a Tokio runtime.
    pub(crate) fn bind(settings: &AdminSettings) -> anyhow::Result<Self> {
        let address = settings.address;
        let listener = listen(address).with_context(|| {
            format!(
                "cannot listen at {address} for health, metrics and status: set ILB_ADMIN_ADDRESS to a free address"
            )
        })?;
        Ok(Self { listener, hosts: AllowedHosts::detect(&settings.hosts), reports: None, connections: None })
    }

    /// Answers who is connected to whom.
    pub(crate) fn with_connections(self, connections: ConnectionTable) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// Answers siblings with these reports.
    pub(crate) fn with_siblings(self, reports: watch::Receiver<OwnReports>) -> Self {
        Self { reports: Some(reports), ..self }
    }

    /// Starts to serve, until the process ends. Has to be called within the controller's runtime, which the metrics show.
    pub(crate) fn start(self, insight: &Insight, dropped_lines: DroppedLines) -> anyhow::Result<()> {
        let (front, pages) = self.parts(insight, dropped_lines);
        start_thread("admin-probes", None, front)?;
        start_thread("admin-pages", Some(PAGES_NICENESS), pages)
    }

    /// Returns what the two threads do.
    fn parts(
        self,
        insight: &Insight,
        dropped_lines: DroppedLines,
    ) -> (impl Future<Output = ()> + use<>, impl Future<Output = ()> + use<>) {
        let (sender, receiver) = mpsc::channel(MAX_PASSED_ON);
        let front = accept(self.listener, routes::probes(insight), sender);
        let exchange = self.reports.map(|reports| siblings::routes(reports, self.hosts.clone()));
        let connections = self.connections.map(|table| connection_page::routes(table, self.hosts.clone()));
        let pages = routes::pages(insight, dropped_lines, self.hosts).merge(exchange.unwrap_or_default());
        let pages = pages.merge(connections.unwrap_or_default());
        (front, serve_pages(receiver, pages))
    }
}

/// Starts a thread with a runtime of its own for `work`.
fn start_thread(
    name: &str,
    niceness: Option<i32>,
    work: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let cannot_start = || format!("cannot start the thread {name}");
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(EVENT_INTERVAL).build().with_context(cannot_start)?;
    let run = move || {
        if let Some(niceness) = niceness {
            // Linux applies it to this thread only. Where that is not allowed, the threads are equal.
            let _ = rustix::process::setpriority_process(None, niceness);
        }
        runtime.block_on(work);
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).with_context(cannot_start)
}

/// Accepts all connections, answers those that begin with a probe, and passes on the others.
async fn accept(listener: TcpListener, probes: Router, pages: mpsc::Sender<PassedOn>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "The admin server cannot accept connections"),
    };
    let (places, mut fails) = (Places::new(FRONT_LIMITS), false);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (probes, pages) = (probes.clone(), pages.clone());
                places.spawn(peer.ip(), Doing::Waiting, |place| begin(stream, peer.ip(), probes, pages, place));
                if std::mem::take(&mut fails) {
                    tracing::info!("The admin server accepts connections again");
                }
                // Its request mostly is there already, and is looked at before the next connections may take its place.
                yield_now().await;
            }
            // A client that has gone already.
            Err(error) if is_of_connection(&error) => {}
            // Such as too many open files, which passes.
            Err(error) => {
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "The admin server cannot accept connections: trying again until it can");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// Waits for the first request of a connection, and serves it if it is a probe, else passes the connection on, so that it
/// takes no place here any longer.
async fn begin(mut stream: TcpStream, peer: IpAddr, probes: Router, pages: mpsc::Sender<PassedOn>, place: Arc<Place>) {
    let Ok(Some(first_line)) = timeout(REQUEST_TIMEOUT, FirstLine::read(&mut stream)).await else { return };
    if first_line.is_probe() {
        place.does(Doing::Serving);
        // A kubelet opens a connection for each probe.
        serve(stream, first_line, probes, Requests::One, place).await;
    } else {
        pass_on(stream, peer, first_line, &pages);
    }
}

fn pass_on(stream: TcpStream, peer: IpAddr, first_line: FirstLine, pages: &mpsc::Sender<PassedOn>) {
    if let Ok(stream) = stream.into_std() {
        // If too many wait there already, this one is closed: here it would take the place of a probe.
        let _ = pages.try_send(PassedOn { stream, peer, first_line });
    }
}

async fn serve_pages(mut passed_on: mpsc::Receiver<PassedOn>, router: Router) {
    let places = Places::new(PAGES_LIMITS);
    let mut batch = Vec::with_capacity(MAX_PASSED_ON);
    while passed_on.recv_many(&mut batch, MAX_PASSED_ON).await > 0 {
        for PassedOn { stream, peer, first_line } in batch.drain(..) {
            if let Ok(stream) = TcpStream::from_std(stream) {
                let router = router.clone();
                places.spawn(peer, Doing::Waiting, |place| serve(stream, first_line, router, Requests::Many, place));
            }
        }
        // These are looked at before the next ones may take their places.
        yield_now().await;
    }
}

#[cfg(test)]
mod tests;
