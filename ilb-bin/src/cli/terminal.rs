use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::view::Room;

/// The width of what is not printed to a terminal: a line that a person can read, with room for a reason.
const ELSEWHERE: usize = 120;

/// How wide the terminal is that stdout is, and how high.
pub(super) fn room() -> Room {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Room { width: size.ws_col.into(), height: Some(size.ws_row.into()) }
        }
        _ => Room { width: ELSEWHERE, height: None },
    }
}

/// The terminal as a screen that is painted again and again. Dropping it leaves the terminal as it was.
pub(super) struct Screen {
    before: Termios,
    /// No colour, because `NO_COLOR` is set or the terminal has none.
    plain: bool,
}

/// Another screen than the one with what was typed before, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left; the rest of the line; the rest of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

impl Screen {
    /// `None` where there is no terminal at both ends.
    pub(super) fn open() -> anyhow::Result<Option<Self>> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin()).context("cannot read the settings of the terminal")?;
        let mut keys = before.clone();
        // Keys come one by one and unseen. Ctrl-C stays a signal; there is no suspending with another screen.
        keys.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &keys).context("cannot read keys from the terminal")?;
        let plain = AutoStream::choice(&io::stdout()) == ColorChoice::Never;
        let screen = Self { before, plain };
        io::stdout().write_all(ENTER.as_bytes()).context("cannot print")?;
        Ok(Some(screen))
    }

    /// Shows these lines, as many as there is room for.
    pub(super) fn paint(&self, text: &str) -> anyhow::Result<()> {
        let room = room();
        let text = if self.plain { strip_str(text).to_string() } else { text.to_owned() };
        let lines = text.lines().take(room.height.unwrap_or(usize::MAX));
        let body: Vec<_> = lines.map(|line| format!("{line}{REST_OF_LINE}")).collect();
        let text = format!("{HOME}{}{REST_OF_SCREEN}", body.join("\r\n"));
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout();
        let _ = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
