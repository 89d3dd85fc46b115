//! A program at the address of a sibling that is none, or whose packets are lost.

use std::{net::SocketAddr, time::Duration};

use ilb_testbed::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::replicas::{ADMIN_PORT, Replica, host};

/// A server at the address of a sibling.
pub(crate) struct Impostor {
    answers: watch::Sender<Answer>,
    task: JoinHandle<()>,
}

/// Answer to each request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Sends this text and closes the connection.
    Text(&'static str),
    /// A head that promises more, and then a byte in each of these times.
    Drip(Duration),
    /// 100 MB, as fast as they are taken.
    Endless,
    /// Sends as many bytes as are allowed, which have to be parsed to see that they are wrong.
    Longest,
    /// None, on a connection that stays open.
    None,
    /// The answer of the server there.
    Of(SocketAddr),
}

impl Impostor {
    /// Starts the server at the address of replica `number`.
    pub(crate) async fn start(number: u8, answer: Answer) -> Self {
        let listener = TcpListener::bind((host(number), ADMIN_PORT)).await.unwrap();
        let answers = watch::Sender::new(answer);
        let mut current = answers.subscribe();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let answer = *current.borrow();
                        connections.spawn(serve(stream, answer));
                    }
                    Ok(()) = current.changed() => connections.abort_all(),
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { answers, task }
    }

    /// Changes the answer, and closes the open connections.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.send_replace(answer);
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    if let Answer::Of(upstream) = answer {
        let mut upstream = TcpStream::connect(upstream).await?;
        copy_bidirectional(&mut stream, &mut upstream).await?;
        return Ok(());
    }
    let mut request = [0; 4096];
    while stream.read(&mut request).await? > 0 {
        match answer {
            Answer::Text(text) => {
                stream.write_all(text.as_bytes()).await?;
                return stream.shutdown().await;
            }
            Answer::Drip(pause) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
                loop {
                    stream.write_all(b"{").await?;
                    sleep(pause).await;
                }
            }
            Answer::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").await?;
                for _ in 0..6_400 {
                    stream.write_all(&[b' '; 1 << 14]).await?;
                }
            }
            Answer::Longest => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n").await?;
                for _ in 0..256 {
                    stream.write_all(&[b'['; 1 << 14]).await?;
                }
            }
            Answer::None | Answer::Of(_) => {}
        }
    }
    Ok(())
}

impl Replica {
    /// Waits until one more question to a sibling has failed in this way.
    pub(crate) async fn wait_for_failure(&self, kind: &str) {
        let mut before = None;
        eventually("a question fails", async || {
            let (_, metrics) = self.admin.get("/metrics").await?;
            let name = format!("ilb_sibling_failures_total{{kind=\"{kind}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            let found: f64 = line.ok_or_else(|| anyhow::anyhow!("no {name}"))?.parse()?;
            anyhow::ensure!(found > *before.get_or_insert(found), "{found} failures as {kind} as before");
            Ok(())
        })
        .await
        .unwrap();
    }
}
