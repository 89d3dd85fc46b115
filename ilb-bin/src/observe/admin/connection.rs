//! A connection to the admin server: its limits, and the service of its requests.

use std::{convert::Infallible, io::Cursor, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    response::Response,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, join},
    net::TcpStream,
};
use tower::ServiceExt;

use super::{
    first_line::FirstLine,
    places::{Doing, Place},
    stream::IsStream,
};

/// Maximum time for a client to send a request, also the next one on the same connection.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time for which a client may accept no bytes of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of a request with its headers. Bodies are never read.
pub(super) const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Number of requests on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requests {
    One,
    /// Any number, as long as there are places for other connections.
    Many,
}

/// Serves the requests of a connection, of which the first line has been read already.
pub(super) async fn serve(
    stream: TcpStream,
    first_line: FirstLine,
    router: Router,
    requests: Requests,
    place: Arc<Place>,
) {
    // Without a timeout, a client that accepts no bytes would keep the connection open without end.
    let timeout = u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout);
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let stream = join(Cursor::new(first_line.into_bytes()).chain(reader), writer);
    let service =
        service_fn(move |request| respond(request.map(Body::new), router.clone(), requests, Arc::clone(&place)));
    // An error means that the client sent something else than requests, or went away: that is its own business.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(MAX_REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    mut request: Request,
    router: Router,
    requests: Requests,
    place: Arc<Place>,
) -> Result<Response, Infallible> {
    place.does(Doing::Serving);
    request.extensions_mut().insert(Arc::clone(&place));
    let mut response = router.oneshot(request).await?;
    let is_stream = response.extensions().get::<IsStream>().is_some();
    place.does(if is_stream { Doing::Streaming } else { Doing::Waiting });
    if is_stream || requests == Requests::One || place.is_scarce() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
