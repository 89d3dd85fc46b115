use std::time::Duration;

use anyhow::Context;

/// The first line of each connection: which pod it has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The name of the backend's pod.
    pub(crate) pod: String,
    /// For how long the backend had been asked to end when it accepted the connection, if it had.
    pub(crate) terminating: Option<Duration>,
}

impl Greeting {
    /// The line, with its end.
    pub(crate) fn line(&self) -> String {
        match self.terminating {
            None => format!("{}\n", self.pod),
            Some(since) => format!("{} terminating {}\n", self.pod, since.as_millis()),
        }
    }

    /// Reads what [`Self::line`] wrote.
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
    fn what_is_written_is_read() {
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
