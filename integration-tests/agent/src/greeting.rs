//! The first line of each connection.

use std::time::Duration;

use anyhow::Context;

/// The first line of each connection, which names the pod that it has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Name of the backend's pod.
    pub(crate) pod: String,
    /// Time since the backend received SIGTERM, if it had when it accepted the connection.
    pub(crate) terminating: Option<Duration>,
}

impl Greeting {
    /// Returns the line, with its end.
    pub(crate) fn line(&self) -> String {
        match self.terminating {
            None => format!("{}\n", self.pod),
            Some(since) => format!("{} terminating {}\n", self.pod, since.as_millis()),
        }
    }

    /// Parses a line of [`Self::line`].
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        let mut words = line.split_whitespace();
        let pod = words.next().with_context(|| format!("no pod's name in {line:?}"))?.to_owned();
        let terminating = match words.nth(1) {
            None => None,
            Some(millis) => {
                Some(Duration::from_millis(millis.parse().with_context(|| format!("no time in {line:?}"))?))
            }
        };
        Ok(Self { pod, terminating })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_line_can_be_parsed() {
        for terminating in [None, Some(Duration::from_millis(70))] {
            let greeting = Greeting { pod: "db-1".into(), terminating };
            assert_eq!(Greeting::parse(&greeting.line()).unwrap(), greeting);
        }
    }

    #[test]
    fn an_empty_line_is_no_greeting() {
        assert!(Greeting::parse("\n").is_err());
    }
}
