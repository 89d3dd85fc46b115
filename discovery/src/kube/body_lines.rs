use futures_util::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use kube::client::Body;
use tokio_util::bytes::{Bytes, BytesMut};

/// The lines of an answer that goes on, each of them whole.
pub(super) struct BodyLines {
    body: BodyDataStream<Body>,
    buffer: BytesMut,
    /// So many bytes of the buffer hold no end of a line.
    searched: usize,
    longest: usize,
}

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The answer has ended, after a whole line.
    End,
    /// The answer has ended in the middle of a line.
    MidLine,
    /// The answer broke off.
    Broken(kube::Error),
    /// The line is longer than it may be.
    TooLong,
}

impl BodyLines {
    /// Of `body`, each of about `longest` bytes at most.
    pub(super) fn new(body: Body, longest: usize) -> Self {
        Self { body: body.into_data_stream(), buffer: BytesMut::new(), searched: 0, longest }
    }

    /// The next line, with its end. What was read is kept if this is given up and called again.
    pub(super) async fn next(&mut self) -> Result<Bytes, NoLine> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(line.freeze());
            }
            self.searched = self.buffer.len();
            if self.searched > self.longest {
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

    /// The lines of a body that comes in these pieces, and how it ends.
    fn lines(pieces: &[&str], longest: usize) -> (Vec<String>, NoLine) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = BodyLines::new(body_of(pieces).await, longest);
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
    fn a_line_without_an_end_is_told_from_an_end_without_a_line() {
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
        fn the_pieces_in_which_lines_come_do_not_matter(text in "[ab\n]{0,30}", at in 0..31usize) {
            let (head, tail) = text.split_at(at.min(text.len()));
            let whole: Vec<_> = text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(str::to_owned).collect();
            prop_assert_eq!(lines(&[head, tail], 99).0, whole);
        }
    }
}
