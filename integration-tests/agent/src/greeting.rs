//! The first line of each connection.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;

/// The first line of each connection, which names the pod that it has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Name of the backend's pod.
    pub(crate) pod: String,
    /// Address at which the backend accepted the connection.
    pub(crate) address: SocketAddr,
    /// Time since the backend received SIGTERM, if it had when it accepted the connection.
    pub(crate) terminating: Option<Duration>,
}

impl Greeting {
    /// Returns the line, with its end.
    pub(crate) fn line(&self) -> String {
        match self.terminating {
            None => format!("{} {}\n", self.pod, self.address),
            Some(since) => format!("{} {} terminating {}\n", self.pod, self.address, since.as_millis()),
        }
    }

    /// Parses a line of [`Self::line`].
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        let mut words = line.split_whitespace();
        let pod = words.next().with_context(|| format!("no pod's name in {line:?}"))?.to_owned();
        let address = words.next().and_then(|word| word.parse().ok());
        let address = address.with_context(|| format!("no address in {line:?}"))?;
        let terminating = match words.nth(1) {
            None => None,
            Some(millis) => {
                Some(Duration::from_millis(millis.parse().with_context(|| format!("no time in {line:?}"))?))
            }
        };
        Ok(Self { pod, address, terminating })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_line_can_be_parsed() {
        for terminating in [None, Some(Duration::from_millis(70))] {
            let greeting = Greeting { pod: "db-1".into(), address: "10.0.0.7:3333".parse().unwrap(), terminating };
            assert_eq!(Greeting::parse(&greeting.line()).unwrap(), greeting);
        }
    }

    #[test]
    fn anything_else_is_no_greeting() {
        for line in ["\n", "db-1\n", "db-1 10.0.0.7\n"] {
            assert!(Greeting::parse(line).is_err(), "{line:?}");
        }
    }
}
