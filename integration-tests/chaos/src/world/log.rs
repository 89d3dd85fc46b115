//! The log of ilb, from a pipe whose reader can pause.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, PipeReader, PipeWriter, pipe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use rustix::pipe::fcntl_setpipe_size;

/// The log: the lines read last, each with the moment at which it was read.
#[derive(Clone, Default)]
pub(crate) struct Log {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_paused: bool,
    lines: VecDeque<(Instant, String)>,
}

/// Lines that are kept.
const MAX_LINES: usize = 2_000;
/// Bytes that are kept of a line.
const MAX_LINE_LENGTH: usize = 1_000;
/// Size of the pipe in bytes, the smallest that there is.
const PIPE_SIZE: usize = 4_096;

impl Log {
    /// Makes a pipe, whose lines belong to this log until its writer ends.
    pub(crate) fn follow_new_pipe(&self) -> anyhow::Result<PipeWriter> {
        let (reader, writer) = pipe()?;
        fcntl_setpipe_size(&writer, PIPE_SIZE)?;
        let log = self.clone();
        thread::spawn(move || log.read(reader));
        Ok(writer)
    }

    fn read(&self, reader: PipeReader) {
        for line in BufReader::new(reader).lines() {
            let Ok(mut line) = line else { return };
            let end = (0..=MAX_LINE_LENGTH.min(line.len())).rfind(|end| line.is_char_boundary(*end)).unwrap_or(0);
            line.truncate(end);
            let mut state = self.state();
            if state.lines.len() >= MAX_LINES {
                state.lines.pop_front();
            }
            state.lines.push_back((Instant::now(), line));
            let wait = self.shared.1.wait_while(state, |state| state.is_paused);
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Makes the reader pause, or go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.state().is_paused = is_paused;
        self.shared.1.notify_all();
    }

    /// Returns the moment of the first line since `start` that contains one of `texts`.
    pub(crate) fn first_since(&self, start: Instant, texts: &[&str]) -> Option<Instant> {
        let state = self.state();
        let mut lines = state.lines.iter().filter(|(at, _)| *at >= start);
        lines.find(|(_, line)| texts.iter().any(|text| line.contains(text))).map(|(at, _)| *at)
    }

    /// Returns the last lines.
    pub(crate) fn tail(&self, count: usize) -> Vec<String> {
        let state = self.state();
        state.lines.iter().skip(state.lines.len().saturating_sub(count)).map(|(_, line)| line.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
