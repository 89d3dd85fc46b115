//! The lines of a response body.

use futures_util::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use kube::client::Body;
use tokio_util::bytes::{Bytes, BytesMut};

/// Splits a body that is still being received into whole lines.
pub(super) struct BodyLines {
    body: BodyDataStream<Body>,
    buffer: BytesMut,
    /// Number of bytes at the start of the buffer that contain no end of a line.
    searched: usize,
    max_line_bytes: usize,
}

/// Reason why there is no next line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The body has ended after a whole line.
    End,
    /// The body has ended in the middle of a line.
    MidLine,
    /// The connection broke.
    Broken(kube::Error),
    /// The line is longer than the maximum.
    TooLong,
}

impl BodyLines {
    /// Splits `body` into lines of about `max_line_bytes` at most.
    pub(super) fn new(body: Body, max_line_bytes: usize) -> Self {
        Self { body: body.into_data_stream(), buffer: BytesMut::new(), searched: 0, max_line_bytes }
    }

    /// Returns the next line, including its end. Cancel-safe: the next call continues with what has been read.
    pub(super) async fn next(&mut self) -> Result<Bytes, NoLine> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(line.freeze());
            }
            self.searched = self.buffer.len();
            if self.searched > self.max_line_bytes {
                return Err(NoLine::TooLong);
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(NoLine::Broken(error)),
                None if self.buffer.is_empty() => return Err(NoLine::End),
                None => return Err(NoLine::MidLine),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kube::testing::body_of;

    /// Returns the lines of a body that is received in these pieces, and the reason of its end.
    fn lines(pieces: &[&str], max_line_bytes: usize) -> (Vec<String>, NoLine) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = BodyLines::new(body_of(pieces).await, max_line_bytes);
            let mut found = Vec::new();
            loop {
                match lines.next().await {
                    Ok(line) => found.push(String::from_utf8(line.to_vec()).unwrap()),
                    Err(end) => return (found, end),
                }
            }
        })
    }

    #[test]
    fn a_line_without_an_end_differs_from_an_end_without_a_line() {
        assert!(matches!(lines(&["a\nb", "c\n"], 9), (lines, NoLine::End) if lines == ["a\n", "bc\n"]));
        assert!(matches!(lines(&["a\nb"], 9), (lines, NoLine::MidLine) if lines == ["a\n"]));
        assert!(matches!(lines(&[], 9), (lines, NoLine::End) if lines.is_empty()));
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        assert!(matches!(lines(&["a\n", "1234567890", "12"], 9), (lines, NoLine::TooLong) if lines == ["a\n"]));
    }

    proptest! {
        #[test]
        fn the_pieces_in_which_lines_are_received_do_not_matter(text in "[ab\n]{0,30}", at in 0..31usize) {
            let (head, tail) = text.split_at(at.min(text.len()));
            let whole: Vec<_> = text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(str::to_owned).collect();
            prop_assert_eq!(lines(&[head, tail], 99).0, whole);
        }
    }
}
