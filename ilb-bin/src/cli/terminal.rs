//! The terminal: its size, and a screen that is painted repeatedly.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::view::Room;

/// Width of a line, in characters, where stdout is not a terminal: readable, with room for a reason.
const WIDTH_WITHOUT_TERMINAL: usize = 120;

/// Returns the size of the terminal on stdout.
pub(super) fn room() -> Room {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Room { width: size.ws_col.into(), height: Some(size.ws_row.into()) }
        }
        _ => Room { width: WIDTH_WITHOUT_TERMINAL, height: None },
    }
}

/// A screen that is painted repeatedly. Dropping it restores the terminal.
pub(super) struct Screen {
    /// Settings of the terminal before the screen was opened.
    saved: Termios,
    /// False if `NO_COLOR` is set or the terminal has no colours.
    coloured: bool,
}

/// Switches to the alternate screen, which keeps what was printed before, and hides the cursor.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[?25l";
/// Shows the cursor and switches back.
const LEAVE_SCREEN: &str = "\x1b[?25h\x1b[?1049l";
const CURSOR_HOME: &str = "\x1b[H";
const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";
const CLEAR_TO_END_OF_SCREEN: &str = "\x1b[J";

impl Screen {
    /// Opens the screen. Returns `None` unless both stdin and stdout are a terminal.
    pub(super) fn open() -> anyhow::Result<Option<Self>> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Ok(None);
        }
        let saved = tcgetattr(io::stdin()).context("cannot read the settings of the terminal")?;
        let mut keys = saved.clone();
        // Keys are read one by one and not echoed. Ctrl-C stays a signal. Ctrl-Z is off: it would leave the alternate
        // screen on the terminal.
        keys.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &keys).context("cannot read keys from the terminal")?;
        let coloured = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let screen = Self { saved, coloured };
        io::stdout().write_all(ENTER_SCREEN.as_bytes()).context("cannot print")?;
        Ok(Some(screen))
    }

    /// Shows as many lines of `text` as the terminal has room for.
    pub(super) fn paint(&self, text: &str) -> anyhow::Result<()> {
        let room = room();
        let text = if self.coloured { text.to_owned() } else { strip_str(text).to_string() };
        let lines = text.lines().take(room.height.unwrap_or(usize::MAX));
        let body: Vec<_> = lines.map(|line| format!("{line}{CLEAR_TO_END_OF_LINE}")).collect();
        let text = format!("{CURSOR_HOME}{}{CLEAR_TO_END_OF_SCREEN}", body.join("\r\n"));
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(LEAVE_SCREEN.as_bytes()).and_then(|()| stdout.flush());
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.saved);
    }
}
