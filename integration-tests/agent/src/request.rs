//! The lines that clients send.

use std::time::Duration;

/// A line that a client sends.
///
/// A backend sends other lines back as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Asks for an answer, which takes [`WORK`]. The number is of this request alone.
    Work(u64),
    /// Asks whether the request with this number has arrived.
    HasArrived(u64),
}

/// Time that a backend takes for [`Request::Work`]: longer than the kernel's clock needs to tell a request from its answer.
pub(crate) const WORK: Duration = Duration::from_millis(20);

impl Request {
    /// Returns the line, with its end.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Work(number) => format!("work {number}\n"),
            Self::HasArrived(number) => format!("arrived {number}\n"),
        }
    }

    /// Parses a line of [`Self::line`]; `None` for any other line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.trim_end().split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "work" => Some(Self::Work(number)),
            "arrived" => Some(Self::HasArrived(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_line_can_be_parsed() {
        for request in [Request::Work(7), Request::HasArrived(u64::MAX)] {
            assert_eq!(Request::parse(&request.line()), Some(request));
        }
    }

    #[test]
    fn anything_else_is_no_request() {
        for line in ["", "still there?\n", "work\n", "work x\n"] {
            assert_eq!(Request::parse(line), None, "{line:?}");
        }
    }
}
