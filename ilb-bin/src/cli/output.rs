//! Printing on stdout.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use anyhow::Context;

/// Prints `text`, in colour only on a terminal and without `NO_COLOR`. A reader that has closed the pipe, such as `head`, is
/// not an error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_next(text).map(|_| ())
}

/// Prints like [`print`](fn@print), and returns `Break` once the reader has closed the pipe.
pub(super) fn print_next(text: &str) -> anyhow::Result<ControlFlow<()>> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error).context("cannot print"),
    }
}

/// Prints `value` as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot convert the output to JSON")?;
    print(&(text + "\n"))
}
