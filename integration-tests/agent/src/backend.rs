//! A backend that drains before it ends.

use std::{
    env,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{greeting::Greeting, termination};

/// Time that a terminating backend goes on without connections, so that one that is routed here by mistake is noticed.
const LINGER_TIME: Duration = Duration::from_secs(3);

/// Serves until SIGTERM, and then until its connections have ended, as a database that drains does.
///
/// It goes on accepting meanwhile, with a greeting that says for how long it has been terminating.
pub(crate) async fn run(address: SocketAddr) -> anyhow::Result<()> {
    let pod = env::var("HOSTNAME").context("the kubelet sets HOSTNAME to the pod's name")?;
    let listener = TcpListener::bind(address).await?;
    let mut sessions = JoinSet::new();
    let mut asked: Option<Instant> = None;
    let end = termination::requested();
    tokio::pin!(end);
    loop {
        tokio::select! {
            result = &mut end, if asked.is_none() => {
                result?;
                asked = Some(Instant::now());
            }
            accepted = listener.accept() => {
                let greeting = Greeting { pod: pod.clone(), terminating: asked.map(|asked| asked.elapsed()) };
                if let Ok((stream, _)) = accepted {
                    sessions.spawn(serve(stream, greeting));
                }
            }
            Some(_) = sessions.join_next() => {}
            () = tokio::time::sleep(LINGER_TIME), if asked.is_some() && sessions.is_empty() => return Ok(()),
        }
    }
}

async fn serve(stream: TcpStream, greeting: Greeting) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(greeting.line().as_bytes()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        stream.write_all(line.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
