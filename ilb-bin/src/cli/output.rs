use std::io::{self, Write};

use anyhow::Context;

/// Prints `text`, in colour on a terminal only and not against `NO_COLOR`. A reader that has seen enough, such as `head`, is
/// no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_on(text).map(|_| ())
}

/// The same; answers whether anybody reads on.
pub(super) fn print_on(text: &str) -> anyhow::Result<bool> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot print"),
    }
}

/// Prints `value` as JSON for a program.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write as JSON")?;
    print(&(text + "\n"))
}
