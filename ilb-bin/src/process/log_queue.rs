//! The queue of log lines, and the thread that writes them.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Queue of log lines, whose users never wait for the reader of the log: a line that finds the queue full is dropped and
/// counted, and so is one that cannot be written.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue(Arc<Queue>);

/// Number of log lines that were dropped since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct DroppedLines(Arc<AtomicU64>);

#[derive(Debug, Default)]
struct Queue {
    pending: Mutex<Pending>,
    /// Notifies the writing thread of a new line.
    added: Condvar,
    /// Notifies those who wait for the end of the queue.
    written: Condvar,
    dropped: DroppedLines,
}

#[derive(Debug, Default)]
struct Pending {
    lines: VecDeque<Box<[u8]>>,
    /// Size of all lines, with the one that is being written.
    bytes: usize,
    is_writing: bool,
}

/// Maximum size of the lines that wait: some thousand lines. A single line may be longer than that, which happens at
/// `debug` with thousands of backends.
const MAX_PENDING_BYTES: usize = 1 << 20;

/// Maximum wait for the pending lines to be written before the process exits.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause before another attempt to write to an output that is full and set not to block.
const FULL_OUTPUT_PAUSE: Duration = Duration::from_millis(20);

impl LogQueue {
    /// Starts the thread that writes the lines to `output`.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let written = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || written.write_all_to(output))?;
        Ok(Self(queue))
    }

    /// Returns the number of lines that were dropped, which continues to grow.
    pub(crate) fn dropped(&self) -> DroppedLines {
        self.0.dropped.clone()
    }

    /// Waits until all lines have been written, or for [`FLUSH_TIMEOUT`] if the reader of the log is too slow. To be called
    /// before the process exits.
    pub(crate) fn flush(&self) {
        let is_pending = |pending: &mut Pending| pending.is_writing || !pending.lines.is_empty();
        let wait = self.0.written.wait_timeout_while(self.0.lock(), FLUSH_TIMEOUT, is_pending);
        drop(wait);
    }
}

/// Adds lines. Each call of `write` is one line, and never fails.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.lock();
        if pending.bytes > 0 && pending.bytes + line.len() > MAX_PENDING_BYTES {
            self.0.dropped.add_one();
        } else {
            pending.bytes += line.len();
            pending.lines.push_back(line.into());
            self.0.added.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DroppedLines {
    /// Returns the number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a line.
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Queue {
    fn write_all_to(&self, mut output: impl Write) {
        loop {
            let line = self.next();
            if write_whole(&mut output, &line).is_err() {
                self.dropped.add_one();
            }
            let mut pending = self.lock();
            pending.bytes -= line.len();
            pending.is_writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Box<[u8]> {
        let mut pending = self.lock();
        loop {
            if let Some(line) = pending.lines.pop_front() {
                pending.is_writing = true;
                return line;
            }
            pending = self.added.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line as a whole, also to a pipe that another process has set not to block.
fn write_whole(output: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match output.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = line.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_OUTPUT_PAUSE),
            Err(error) => return Err(error),
        }
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{PipeReader, Read, pipe},
        sync::mpsc,
    };

    use super::*;

    /// Returns a queue that writes to a pipe, and the end of the pipe to read from.
    fn piped() -> (LogQueue, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (LogQueue::start(writer).unwrap(), reader)
    }

    fn add(queue: &LogQueue, line: &[u8]) {
        queue.clone().write_all(line).unwrap();
    }

    /// Waits until `dropped` lines have been dropped.
    fn wait_until_dropped(queue: &LogQueue, dropped: u64) {
        while queue.dropped().get() < dropped {
            thread::yield_now();
        }
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let (queue, mut reader) = piped();
        let lines = (b'a'..=b'z').map(|letter| [letter, b'\n']).collect::<Vec<_>>();
        for line in &lines {
            add(&queue, line);
        }
        queue.flush();
        let mut written = [0; 52];
        reader.read_exact(&mut written).unwrap();
        assert_eq!(written, *lines.as_flattened());
        assert_eq!(queue.dropped().get(), 0);
    }

    #[test]
    fn lines_that_find_the_queue_full_are_dropped_and_counted_and_the_others_come_out() {
        let (queue, mut reader) = piped();
        let line = [b'a'; 1024];
        // More than the pipe and the queue can hold, and nobody reads.
        for _ in 0..2 * MAX_PENDING_BYTES / line.len() {
            add(&queue, &line);
        }
        let dropped = queue.dropped().get();
        assert!(dropped > 0 && queue.0.lock().bytes <= MAX_PENDING_BYTES, "{dropped}");
        let kept = 2 * MAX_PENDING_BYTES - usize::try_from(dropped).unwrap() * line.len();
        let mut written = vec![0; kept];
        reader.read_exact(&mut written).unwrap();
        add(&queue, b"the next one");
        let mut next = [0; 12];
        reader.read_exact(&mut next).unwrap();
        assert_eq!((&next, queue.dropped().get()), (b"the next one", dropped));
    }

    #[test]
    fn a_line_longer_than_the_queue_is_written_all_the_same() {
        let (queue, mut reader) = piped();
        let line = vec![b'a'; 2 * MAX_PENDING_BYTES];
        add(&queue, &line);
        let mut written = vec![0; line.len()];
        reader.read_exact(&mut written).unwrap();
        assert_eq!(queue.dropped().get(), 0);
    }

    #[test]
    fn lines_that_a_reader_no_longer_takes_are_counted() {
        let (queue, reader) = piped();
        drop(reader);
        add(&queue, b"one");
        add(&queue, b"two");
        wait_until_dropped(&queue, 2);
    }

    #[test]
    fn a_reader_that_stops_does_not_delay_the_exit_for_long() {
        let (queue, _reader) = piped();
        add(&queue, &vec![b'a'; MAX_PENDING_BYTES]);
        queue.flush();
        assert!(queue.0.lock().is_writing, "the pipe holds less than the line");
    }

    /// An output that is full at first, and takes a few bytes at a time.
    struct Nonblocking {
        full: usize,
        written: mpsc::Sender<u8>,
    }

    impl Write for Nonblocking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full > 0 {
                self.full -= 1;
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(2);
            bytes[..taken].iter().for_each(|byte| self.written.send(*byte).unwrap());
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_does_not_block_gets_whole_lines() {
        let (written, bytes) = mpsc::channel();
        let queue = LogQueue::start(Nonblocking { full: 3, written }).unwrap();
        add(&queue, b"a line\n");
        assert_eq!(bytes.iter().take(7).collect::<Vec<_>>(), b"a line\n");
        assert_eq!(queue.dropped().get(), 0);
    }
}
