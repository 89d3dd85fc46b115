//! One connection to one sibling, on which it is asked again and again.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{ACCEPT, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use crate::{limits::MAX_ANSWER_BYTES, problem::Problem, question::Question};

/// Maximum time of one question, from connecting to the last byte of the answer, in addition to the time for which the sibling may
/// wait before it answers.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a sibling, kept from one question to the next.
pub(crate) struct Line {
    address: SocketAddr,
    open: Option<Open>,
}

/// An open connection. It is closed when this is dropped, whatever is on its way.
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Asks, and returns the text of the answer. After a failure the next question has a connection of its own.
    pub(crate) async fn ask(&mut self, question: &Question) -> Result<Vec<u8>, Problem> {
        let limit = TIMEOUT + question.wait;
        let end = Instant::now() + limit;
        // It takes the connection with it, and returns it if that can be used again.
        let open = self.open.take();
        let asking = ask(self.address, open, question);
        let (answer, open) = timeout_at(end, asking).await.map_err(|_| Problem::TooSlow(limit))??;
        self.open = Some(open);
        Ok(answer)
    }
}

async fn ask(address: SocketAddr, kept: Option<Open>, question: &Question) -> Result<(Vec<u8>, Open), Problem> {
    if let Some(mut open) = kept
        && open.sender.ready().await.is_ok()
    {
        // A sibling closes a connection when it likes. That says nothing about the next one.
        if let Ok(response) = open.sender.send_request(request(address, question)?).await {
            return Ok((read(response).await?, open));
        }
    }
    let mut open = connect(address).await?;
    let response = open.sender.send_request(request(address, question)?).await.map_err(unreachable)?;
    Ok((read(response).await?, open))
}

async fn connect(address: SocketAddr) -> Result<Open, Problem> {
    let stream = TcpStream::connect(address).await.map_err(|error| Problem::Unreachable(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let task = tokio::spawn(async move {
        // Its errors are those of the requests.
        let _ = connection.await;
    });
    Ok(Open { sender, task: task.abort_handle() })
}

fn request(address: SocketAddr, question: &Question) -> Result<Request<Empty<Bytes>>, Problem> {
    let request = Request::get(question.to_string())
        .header(HOST, address.to_string())
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("ilb-siblings/", env!("CARGO_PKG_VERSION")));
    request.body(Empty::new()).map_err(|error| Problem::Unreachable(error.to_string()))
}

/// Reads the body; stops at the first byte beyond the limit.
async fn read(response: Response<Incoming>) -> Result<Vec<u8>, Problem> {
    if response.status() != StatusCode::OK {
        return Err(Problem::Status(response.status().as_u16()));
    }
    let (mut body, mut text) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(unreachable)?.into_data() else { continue };
        if text.len() + data.len() > MAX_ANSWER_BYTES {
            return Err(Problem::TooLong);
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}

/// Returns the problem of a connection that hyper has given up.
#[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
fn unreachable(error: hyper::Error) -> Problem {
    if error.is_parse() {
        return Problem::Unintelligible("it is not HTTP".to_owned());
    }
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Problem::Unreachable(format!("{error}{cause}"))
}
