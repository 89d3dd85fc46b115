use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgMatches};
use reqwest::{Client, Response, Url};
use tokio::time::timeout;

use crate::exit::Failure;
use crate::observe::insight::Status;

/// A running ilb, as its admin server shows it.
pub(super) struct Instance {
    url: Url,
    http: Client,
}

/// What it says as it happens.
pub(super) struct Events {
    response: Response,
    /// The beginning of an event that has not come in full.
    rest: Vec<u8>,
}

const FLAG: &str = "url";

/// Where it is unless it was set up otherwise.
const USUAL: &str = "http://127.0.0.1:8081";

const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// An event comes every second.
const SILENCE: Duration = Duration::from_secs(5);

/// An event is some kilobytes; what goes on for this long without an end is none.
const LONGEST_EVENT: usize = 8 << 20;

impl Instance {
    /// `--url`
    pub(super) fn flag() -> Arg {
        Arg::new(FLAG)
            .long(FLAG)
            .value_name("URL")
            .help(format!("The admin server of the running ilb [default: {USUAL}, or the port in ILB_ADMIN_ADDRESS]"))
    }

    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let given = matches.get_one::<String>(FLAG).cloned();
        let url = given.unwrap_or_else(|| usual(std::env::var("ILB_ADMIN_ADDRESS").ok().as_deref()));
        let parsed = Url::parse(&url).ok().filter(|url| url.scheme().starts_with("http") && url.has_host());
        let form = || anyhow::anyhow!("--url {url:?} is no URL of an admin server: give one such as {USUAL}");
        let url = parsed.ok_or_else(|| Failure::Wrong(form()))?;
        // The client wants certificates even for plain HTTP, and the image of ilb has no store of them.
        // A proxy for the world outside does not know this address.
        let http = Client::builder().no_proxy().tls_certs_only([]).connect_timeout(ANSWERS_WITHIN).build();
        Ok(Self { url, http: http.context("cannot make a client for HTTP")? })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Everything that it knows now.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        let response = self.get("status").await?;
        let body = timeout(ANSWERS_WITHIN, response.bytes()).await.context("no end of the answer in time")?;
        self.understand(&body.with_context(|| format!("the answer of {} broke off", self.url()))?)
    }

    /// The same again and again, as it changes.
    pub(super) async fn follow(&self) -> anyhow::Result<Events> {
        Ok(Events { response: self.get("events").await?, rest: Vec::new() })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let url = format!("{}/{path}", self.url());
        let hint = "is ilb running there? Give another URL with --url";
        let answer = match timeout(ANSWERS_WITHIN, self.http.get(&url).send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => bail!("no ilb can be reached at {} ({}): {hint}", self.url(), innermost(&error)),
            Err(_) => bail!("{} does not answer within {} s: {hint}", self.url(), ANSWERS_WITHIN.as_secs()),
        };
        let status = answer.status();
        if !status.is_success() {
            let text = timeout(ANSWERS_WITHIN, answer.text()).await.ok().and_then(Result::ok).unwrap_or_default();
            bail!("{url} answers {status}: {}", text.lines().next().unwrap_or(hint));
        }
        Ok(answer)
    }

    fn understand(&self, body: &[u8]) -> anyhow::Result<Status> {
        serde_json::from_slice(body).with_context(|| format!("what answers at {} is no ilb of today", self.url()))
    }
}

impl Events {
    /// The next status; `None` when the stream has ended, which it does now and then.
    pub(super) async fn next(&mut self, of: &Instance) -> anyhow::Result<Option<Status>> {
        loop {
            if let Some(event) = take_event(&mut self.rest) {
                match data(&event) {
                    Some(data) => return of.understand(&data).map(Some),
                    None => continue, // a comment
                }
            }
            ensure!(self.rest.len() <= LONGEST_EVENT, "what answers at {} is no ilb: no event ends", of.url());
            let silent = || format!("{} has said nothing for {} s", of.url(), SILENCE.as_secs());
            match timeout(SILENCE, self.response.chunk()).await.with_context(silent)? {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => bail!("the connection to {} broke off ({})", of.url(), innermost(&error)),
            }
        }
    }
}

/// Takes the first complete event away.
fn take_event(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = rest.windows(2).position(|two| two == b"\n\n")?;
    Some(rest.drain(..end + 2).collect())
}

/// The data of an event, whose lines belong together.
fn data(event: &[u8]) -> Option<Vec<u8>> {
    let lines = event.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(b" ").unwrap_or(line)).collect();
    (!lines.is_empty()).then(|| lines.join(&b'\n'))
}

/// The URL of an admin server that was told to listen at `address`, seen from the same host.
fn usual(address: Option<&str>) -> String {
    let Some(mut address) = address.and_then(|address| address.trim().parse::<SocketAddr>().ok()) else {
        return USUAL.to_owned();
    };
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

/// What an error is about in the end: what is around it only says which layer it came through.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, "http://127.0.0.1:8081")]
    #[case(Some("0.0.0.0:9000"), "http://127.0.0.1:9000")]
    #[case(Some("[::]:9000"), "http://[::1]:9000")]
    #[case(Some("10.0.0.7:9000"), "http://10.0.0.7:9000")]
    #[case(Some("nonsense"), "http://127.0.0.1:8081")]
    fn in_the_same_pod_no_url_is_needed(#[case] address: Option<&str>, #[case] url: &str) {
        assert_eq!(usual(address), url);
    }

    #[test]
    fn events_are_told_apart_wherever_the_stream_is_cut() {
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
