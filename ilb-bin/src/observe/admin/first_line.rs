//! The first line of a request, by which probes are told from all other requests.

use tokio::{io::AsyncReadExt, net::TcpStream};

/// Start of a request as it was received: its first line, or as much of that as matters.
#[derive(Debug)]
pub(super) struct FirstLine(Vec<u8>);

pub(super) const LIVEZ: &str = "/livez";
pub(super) const HEALTHZ: &str = "/healthz";
pub(super) const STARTUPZ: &str = "/startupz";
pub(super) const READYZ: &str = "/readyz";

/// Paths of all probes.
const PROBE_PATHS: [&str; 4] = [LIVEZ, HEALTHZ, STARTUPZ, READYZ];

/// Size within which the path of a probe ends.
const MAX_PROBE_LINE_BYTES: usize = 128;

impl FirstLine {
    /// Reads the line; `None` if the connection ends before.
    pub(super) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut line = Self(Vec::with_capacity(MAX_PROBE_LINE_BYTES));
        while !line.is_complete() {
            if stream.read_buf(&mut line.0).await.ok()? == 0 {
                return None;
            }
        }
        Some(line)
    }

    /// Returns whether [`is_probe`](Self::is_probe) can be answered.
    fn is_complete(&self) -> bool {
        self.0.len() >= MAX_PROBE_LINE_BYTES || self.0.contains(&b'\n')
    }

    /// Returns whether the request is a probe.
    pub(super) fn is_probe(&self) -> bool {
        let mut words = self.0.split(u8::is_ascii_whitespace);
        let is_read = matches!(words.next(), Some(b"GET" | b"HEAD"));
        let path = words.next().and_then(|target| target.split(|byte| *byte == b'?').next()).unwrap_or_default();
        is_read && PROBE_PATHS.iter().any(|probe| probe.as_bytes() == path)
    }

    /// Returns what was received.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GET /livez HTTP/1.1\r\nHost: a", true)]
    #[case("HEAD /readyz?verbose HTTP/1.1\r\n", true)]
    #[case("GET /startupz HTTP/1.0\n", true)]
    #[case("GET /livez2 HTTP/1.1\r\n", false)]
    #[case("POST /livez HTTP/1.1\r\n", false)]
    #[case("GET / HTTP/1.1\r\nReferer: /livez", false)]
    #[case("GET /status?GET /livez", false)]
    #[case("\r\nGET /livez HTTP/1.1\r\n", false)]
    #[case("\u{16}\u{3}\u{1}", false)]
    #[case("", false)]
    fn a_probe_is_known_by_its_path(#[case] start: &str, #[case] is_probe: bool) {
        assert_eq!(FirstLine(start.into()).is_probe(), is_probe);
    }
}
