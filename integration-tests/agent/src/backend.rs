//! A backend that drains before it ends.

use std::{
    collections::HashSet,
    env,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    greeting::Greeting,
    request::{Request, WORK},
    termination,
};

/// Time that a terminating backend goes on without connections, so that one that is routed here by mistake is noticed.
const LINGER_TIME: Duration = Duration::from_secs(3);

/// Serves until SIGTERM, and then until its connections have ended, as a database that drains does.
///
/// New connections are accepted meanwhile, with a greeting that says for how long it has been terminating. It remembers which
/// requests arrived, since only that tells whether one without an answer was cut.
pub(crate) async fn run(address: SocketAddr) -> anyhow::Result<()> {
    let pod = env::var("HOSTNAME").context("the kubelet sets HOSTNAME to the pod's name")?;
    let listener = TcpListener::bind(address).await?;
    let mut sessions = JoinSet::new();
    let arrived = Arc::new(Mutex::new(HashSet::new()));
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
                if let Ok((stream, _)) = accepted {
                    let terminating = asked.map(|asked| asked.elapsed());
                    let greeting = Greeting { pod: pod.clone(), address: stream.local_addr()?, terminating };
                    sessions.spawn(serve(stream, greeting, arrived.clone()));
                }
            }
            Some(_) = sessions.join_next() => {}
            () = sleep(LINGER_TIME), if asked.is_some() && sessions.is_empty() => return Ok(()),
        }
    }
}

/// Numbers of the requests that have arrived.
type Arrived = Arc<Mutex<HashSet<u64>>>;

async fn serve(stream: TcpStream, greeting: Greeting, arrived: Arrived) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(greeting.line().as_bytes()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        match Request::parse(&line) {
            Some(Request::Work(number)) => {
                arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
                sleep(WORK).await;
            }
            Some(Request::HasArrived(number)) => {
                line = format!("{}\n", arrived.lock().unwrap_or_else(PoisonError::into_inner).contains(&number));
            }
            None => {}
        }
        stream.write_all(line.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
