//! The client of a running ilb's admin server.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgMatches};
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{exit::Failure, observe::insight::Status, settings::ListenAddress};

/// Client of the admin server of one running ilb.
pub(super) struct AdminClient {
    url: Url,
    http: Client,
}

/// Stream of statuses that a running ilb sends as they change.
pub(super) struct StatusStream {
    response: Response,
    /// Bytes received after the last complete event.
    rest: Vec<u8>,
}

const URL_FLAG: &str = "url";

/// URL of an admin server with the default address.
const DEFAULT_URL: &str = "http://localhost:8081";

/// Addresses of `localhost`: a kernel may lack one of the families.
const LOOPBACK_ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum wait for the head of a response, and again for its body.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum wait for more of the stream, which has an event every second.
const STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for an event, which is some kilobytes; a longer one does not come from ilb.
const MAX_EVENT_BYTES: usize = 8 << 20;

impl AdminClient {
    /// Describes the flag `--url`.
    pub(super) fn flag() -> Arg {
        Arg::new(URL_FLAG).long(URL_FLAG).value_name("URL").help(format!(
            "URL of the admin server of the running ilb [default: {DEFAULT_URL}, or the port in ILB_ADMIN_ADDRESS]"
        ))
    }

    /// Returns whether `--url` is given.
    pub(super) fn is_given(matches: &ArgMatches) -> bool {
        matches.contains_id(URL_FLAG)
    }

    /// Creates the client for `--url`, or else for the admin server in the same pod.
    pub(super) fn from_matches(matches: &ArgMatches) -> Result<Self, Failure> {
        let given = matches.try_get_one::<String>(URL_FLAG).ok().flatten().cloned();
        let address = || std::env::var("ILB_ADMIN_ADDRESS").ok().and_then(|address| address.trim().parse().ok());
        Self::at(&given.unwrap_or_else(|| local_url(address())))
    }

    /// Creates the client for an admin server on the same host that listens at this address.
    pub(super) fn of(address: &ListenAddress) -> Result<Self, Failure> {
        Self::at(&local_url(Some(*address)))
    }

    /// Creates the client for an admin server.
    pub(super) fn at(url: &str) -> Result<Self, Failure> {
        let invalid =
            || anyhow::anyhow!("--url {url:?} is not the URL of an admin server: give one such as {DEFAULT_URL}");
        let url = parsed(url).ok_or_else(|| Failure::Invalid(invalid()))?;
        // Without this list the client would require a certificate store even for plain HTTP; ilb's image has none.
        // The environment's proxy is for other destinations than a pod.
        let http = Client::builder().no_proxy().tls_certs_only([]).connect_timeout(CONNECT_TIMEOUT);
        // Tried in this order, without a resolver, which an image from scratch may not have.
        let http = http.resolve_to_addrs("localhost", &LOOPBACK_ADDRESSES.map(|address| (address, 0).into())).build();
        Ok(Self { url, http: http.context("cannot create an HTTP client")? })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Asks for the status once.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        self.json("status").await
    }

    /// Asks once for the document at this path.
    pub(super) async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.parse(&self.bytes(path).await?)
    }

    /// Asks once for the document at this path, and returns it as it is.
    pub(super) async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.get(path).await?;
        let body = timeout(RESPONSE_TIMEOUT, response.bytes()).await;
        let body = body.with_context(|| format!("{} did not end its response in time", self.url()))?;
        Ok(body.with_context(|| format!("the response of {} was interrupted", self.url()))?.into())
    }

    /// Opens the stream of statuses.
    pub(super) async fn stream(&self) -> anyhow::Result<StatusStream> {
        Ok(StatusStream { response: self.get("stream").await?, rest: Vec::new() })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let url = format!("{}/{path}", self.url());
        let hint = "is ilb running there? Give another URL with --url";
        let response = match timeout(RESPONSE_TIMEOUT, self.http.get(&url).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => bail!("no ilb can be reached at {} ({}): {hint}", self.url(), root_cause(&error)),
            Err(_) => bail!("{} did not answer within {} s: {hint}", self.url(), RESPONSE_TIMEOUT.as_secs()),
        };
        let status = response.status();
        if !status.is_success() {
            let text = timeout(RESPONSE_TIMEOUT, response.text()).await.ok().and_then(Result::ok).unwrap_or_default();
            bail!("{url} answered with {status}: {}", text.lines().next().unwrap_or(hint));
        }
        Ok(response)
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).with_context(|| format!("{} did not answer like this version of ilb", self.url()))
    }
}

/// Parses the URL of an admin server.
///
/// Kubernetes gives pods the addresses of Services in variables as `tcp://10.96.0.7:8081`, those of IPv6 in brackets.
fn parsed(text: &str) -> Option<Url> {
    let address = text.strip_prefix("tcp://").map(|address| format!("http://{address}"));
    let url = Url::parse(address.as_deref().unwrap_or(text)).ok()?;
    (url.scheme().starts_with("http") && url.has_host()).then_some(url)
}

impl StatusStream {
    /// Returns the next status, or `None` when the server has ended the stream, which it does now and then.
    pub(super) async fn next(&mut self, client: &AdminClient) -> anyhow::Result<Option<Status>> {
        let url = client.url();
        loop {
            if let Some(event) = take_event(&mut self.rest) {
                match data(&event) {
                    Some(data) => return client.parse(&data).map(Some),
                    None => continue, // a comment
                }
            }
            let received = self.rest.len();
            ensure!(received <= MAX_EVENT_BYTES, "{url} did not answer like ilb: an event has no end");
            let silent = || format!("{url} has sent nothing for {} s", STREAM_TIMEOUT.as_secs());
            match timeout(STREAM_TIMEOUT, self.response.chunk()).await.with_context(silent)? {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => bail!("the connection to {url} was lost ({})", root_cause(&error)),
            }
        }
    }
}

/// Removes the first complete event from `rest` and returns it.
pub(super) fn take_event(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = rest.windows(2).position(|two| two == b"\n\n")?;
    Some(rest.drain(..end + 2).collect())
}

/// Joins the data lines of an event; `None` if it has none.
pub(super) fn data(event: &[u8]) -> Option<Vec<u8>> {
    let lines = event.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(b" ").unwrap_or(line)).collect();
    (!lines.is_empty()).then(|| lines.join(&b'\n'))
}

/// Returns the URL, seen from the same host, of an admin server that listens at `address`.
fn local_url(address: Option<ListenAddress>) -> String {
    match address {
        None => DEFAULT_URL.to_owned(),
        Some(ListenAddress::All { port }) => format!("http://localhost:{port}"),
        Some(ListenAddress::One(mut address)) => {
            if address.ip().is_unspecified() {
                address.set_ip(LOOPBACK_ADDRESSES[usize::from(address.is_ipv6())]);
            }
            format!("http://{address}")
        }
    }
}

/// Returns the innermost cause as text. The errors around it only name the layers of the client.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, "http://localhost:8081")]
    #[case(Some(":9000"), "http://localhost:9000")]
    #[case(Some("0.0.0.0:9000"), "http://127.0.0.1:9000")]
    #[case(Some("[::]:9000"), "http://[::1]:9000")]
    #[case(Some("10.0.0.7:9000"), "http://10.0.0.7:9000")]
    #[case(Some("nonsense"), "http://localhost:8081")]
    fn in_the_same_pod_no_url_is_needed(#[case] address: Option<&str>, #[case] url: &str) {
        assert_eq!(local_url(address.and_then(|address| address.parse().ok())), url);
    }

    #[rstest]
    #[case("http://10.0.0.7:8081", Some("http://10.0.0.7:8081/"))]
    #[case("https://lb.example/status", Some("https://lb.example/status"))]
    #[case("tcp://10.96.0.7:8081", Some("http://10.96.0.7:8081/"))]
    #[case("tcp://[fd00:96::7]:8081", Some("http://[fd00:96::7]:8081/"))]
    #[case("http://fd00:96::7:8081", None)]
    #[case("udp://10.96.0.7:8081", None)]
    #[case("10.96.0.7:8081", None)]
    fn the_address_of_a_service_in_a_variable_is_a_url(#[case] text: &str, #[case] url: Option<&str>) {
        assert_eq!(parsed(text).as_ref().map(Url::as_str), url);
    }

    #[test]
    fn events_are_separated_wherever_the_stream_is_cut() {
        let stream = b"data: {\"a\":1}\n\n: still here\n\ndata: 2\ndata: 3\n\ndata: unfini";
        let (mut rest, mut events) = (Vec::new(), Vec::new());
        for byte in stream {
            rest.push(*byte);
            while let Some(event) = take_event(&mut rest) {
                events.push(data(&event).map(|data| String::from_utf8(data).unwrap()));
            }
        }
        assert_eq!(events, [Some("{\"a\":1}".to_owned()), None, Some("2\n3".to_owned())]);
    }
}
