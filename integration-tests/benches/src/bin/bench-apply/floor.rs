//! The least that any client of Traefik can do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

/// A client that sends the same bytes by a bare socket, then requests the revision until it is there.
///
/// It checks nothing, parses nothing, and knows neither routers nor servers nor restarts.
pub(crate) struct Floor {
    stream: BufReader<TcpStream>,
    answer: Vec<u8>,
}

impl Floor {
    pub(crate) fn connect(api: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(api)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream), answer: Vec::new() })
    }

    /// Measures the time from the first byte of the `PUT` to the answer that has the revision.
    pub(crate) fn measure(&mut self, body: &[u8], marker: &str) -> anyhow::Result<Duration> {
        /// Time of polling without pauses, as in the client.
        const NO_PAUSE_FOR: Duration = Duration::from_millis(2);
        let ask = format!("GET /api/tcp/services/{marker}@rest HTTP/1.1\r\nhost: floor\r\n\r\n");
        let put = format!("PUT /api/providers/rest HTTP/1.1\r\nhost: floor\r\ncontent-length: {}\r\n\r\n", body.len());
        let started = Instant::now();
        self.stream.get_mut().write_all(put.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        ensure!(self.read_answer()? == 200, "the configuration was refused");
        let accepted = Instant::now();
        loop {
            self.stream.get_mut().write_all(ask.as_bytes())?;
            if self.read_answer()? == 200 {
                return Ok(started.elapsed());
            }
            let waited = accepted.elapsed();
            ensure!(waited < Duration::from_secs(20), "the configuration is not in force");
            if waited > NO_PAUSE_FOR {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Reads an answer. Returns its status code.
    fn read_answer(&mut self) -> anyhow::Result<u16> {
        let (mut line, mut status, mut length) = (String::new(), None, None);
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "Traefik closed the connection");
            let field = line.trim_end().to_ascii_lowercase();
            if status.is_none() {
                status = Some(field.split(' ').nth(1).context("no status")?.parse()?);
            } else if field.is_empty() {
                break;
            } else if let Some(value) = field.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        self.answer.clear();
        match length {
            Some(length) => {
                self.answer.resize(length, 0);
                self.stream.read_exact(&mut self.answer)?;
            }
            None => self.read_chunks()?,
        }
        status.context("no status")
    }

    fn read_chunks(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim_end(), 16)?;
            self.answer.resize(length + 2, 0);
            self.stream.read_exact(&mut self.answer)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
