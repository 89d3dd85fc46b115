//! Opens connections.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::greeting::Greeting;

/// Time limit for each step of a connection: far longer than any takes in a working system.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(5);

/// Connects and reads the greeting.
pub(crate) async fn open(target: &str) -> anyhow::Result<(BufReader<TcpStream>, Greeting)> {
    let stream = timeout(STEP_LIMIT, TcpStream::connect(target)).await.context("connecting timed out")??;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if timeout(STEP_LIMIT, stream.read_line(&mut line)).await.context("the greeting timed out")?? == 0 {
        bail!("closed without a greeting");
    }
    Ok((stream, Greeting::parse(&line)?))
}
