//! A proxy that breaks connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

use crate::Net;

/// A TCP proxy in front of any server that breaks connections in the ways that networks and servers do.
///
/// A fault applies to open connections and to new ones, in both directions, until the next call. Dropping the proxy resets
/// its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    puts: Arc<AtomicU64>,
    faults: watch::Sender<Faults>,
    listener: JoinHandle<()>,
}

/// The faults of the moment.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// No byte is forwarded. Connections stay, and the system still accepts new ones.
    paused: bool,
    /// New connections are reset.
    refusing: bool,
    /// Delay of each piece.
    delay: Duration,
    bytes_per_second: Option<u32>,
    /// Number of bytes from the server after which each connection ends.
    left: Option<usize>,
    /// Number of times that the open connections have been ended.
    cuts: u64,
    /// True if the last end was a reset.
    reset: bool,
    /// Number of connections so far.
    accepted: u64,
}

impl FaultProxy {
    /// Starts a proxy in front of `upstream`, at an address of its own, without a fault.
    pub async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Net::for_this_process()?.host()?, upstream.port())).await?;
        let address = listener.local_addr()?;
        let faults = watch::Sender::new(Faults::default());
        let puts = Arc::new(AtomicU64::new(0));
        let (shared, counter) = (faults.clone(), Arc::clone(&puts));
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.send_modify(|faults| faults.accepted += 1);
                tokio::spawn(serve(client, upstream, shared.subscribe(), Arc::clone(&counter)));
            }
        });
        Ok(Self { address, puts, faults, listener })
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of connections that it has accepted so far.
    pub fn accepted(&self) -> u64 {
        self.faults.borrow().accepted
    }

    /// Returns the number of HTTP requests with the method PUT so far: to Traefik, those are configurations.
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// Stops forwarding, as if the other end had stopped: what is sent is still received and acknowledged.
    pub fn pause(&self) {
        self.faults.send_modify(|faults| faults.paused = true);
    }

    /// Ends every lasting fault. What was held back is forwarded now.
    pub fn heal(&self) {
        self.faults.send_modify(|faults| {
            *faults = Faults { cuts: faults.cuts, reset: faults.reset, accepted: faults.accepted, ..Faults::default() };
        });
    }

    /// Resets all open connections.
    pub fn reset(&self) {
        self.cut(true);
    }

    /// Closes all open connections, as a server does that shuts down.
    pub fn close(&self) {
        self.cut(false);
    }

    /// Resets every new connection.
    pub fn refuse(&self) {
        self.faults.send_modify(|faults| faults.refusing = true);
    }

    /// Closes each connection after `bytes` more bytes from the server, in the middle of whatever comes then.
    pub fn truncate_after(&self, bytes: usize) {
        self.faults.send_modify(|faults| faults.left = Some(bytes));
    }

    /// Delays each piece by `delay`.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Limits each direction of each connection to `bytes_per_second`.
    pub fn limit(&self, bytes_per_second: u32) {
        self.faults.send_modify(|faults| faults.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    fn cut(&self, reset: bool) {
        self.faults.send_modify(|faults| {
            faults.cuts += 1;
            faults.reset = reset;
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut(true);
    }
}

/// Serves a connection from its first byte to its end.
async fn serve(mut client: TcpStream, upstream: SocketAddr, mut faults: watch::Receiver<Faults>, puts: Arc<AtomicU64>) {
    let cuts_before = faults.borrow().cuts;
    if faults.borrow().refusing {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(from_client, to_server, faults.clone(), Direction::Up(&puts));
        let down = pump(from_server, to_client, faults.clone(), Direction::Down);
        tokio::select! {
            // After the client has closed its direction, the other one is still forwarded.
            () = async { up.await; std::future::pending().await } => {}
            () = down => {}
            _ = faults.wait_for(|faults| faults.cuts > cuts_before) => {}
        }
    }
    let was_reset = {
        let now = faults.borrow();
        now.cuts > cuts_before && now.reset
    };
    if was_reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// A direction of a connection.
#[derive(Clone, Copy)]
enum Direction<'a> {
    /// Bytes from the client, with the number of its requests with the method PUT.
    Up(&'a AtomicU64),
    /// Bytes from the server.
    Down,
}

/// Forwards one direction of a connection until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
    direction: Direction<'_>,
) {
    let mut buffer = vec![0; 16 << 10];
    // Counted from the beginning of the fault.
    let mut budget: Option<usize> = None;
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        // The head of a request begins a piece, since the response to the one before has been awaited.
        if let Direction::Up(puts) = direction
            && buffer[..read].starts_with(b"PUT ")
        {
            puts.fetch_add(1, Ordering::Relaxed);
        }
        if faults.wait_for(|faults| !faults.paused).await.is_err() {
            return;
        }
        let (delay, rate, left) = {
            let faults = faults.borrow();
            (faults.delay, faults.bytes_per_second, faults.left.filter(|_| matches!(direction, Direction::Down)))
        };
        sleep(delay).await;
        budget = left.map(|left| budget.unwrap_or(left));
        let allowed = budget.map_or(read, |budget| budget.min(read));
        if write(&mut to, &buffer[..allowed], rate).await.is_err() || allowed < read {
            return;
        }
        budget = budget.map(|budget| budget - allowed);
    }
    let _ = to.shutdown().await;
}

async fn write(to: &mut WriteHalf<'_>, bytes: &[u8], bytes_per_second: Option<u32>) -> std::io::Result<()> {
    let Some(rate) = bytes_per_second else { return to.write_all(bytes).await };
    // Ten portions a second.
    let portion = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
    for bytes in bytes.chunks(portion) {
        to.write_all(bytes).await?;
        sleep(Duration::from_secs(1) * u32::try_from(bytes.len()).unwrap_or(u32::MAX) / rate).await;
    }
    Ok(())
}
