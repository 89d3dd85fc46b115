//! The terminal, or plain lines where there is none.

use std::{net::SocketAddr, time::Duration};

use console::Term;
use ilb_discovery::State;
use tokio::time::Instant;

use crate::clients::Tally;

/// Shows the course of the demo: a live table on a terminal, plain lines elsewhere.
pub(crate) struct Screen {
    terminal: Option<Term>,
    start: Instant,
    duration: Duration,
    /// Number of lines of the table that is on the terminal now.
    drawn: usize,
    /// Moment at which the last plain line was printed.
    printed: Option<Instant>,
}

/// A line of the table: one backend.
pub(crate) struct Row {
    pub(crate) backend: SocketAddr,
    pub(crate) state: State,
    pub(crate) connections: usize,
}

/// Time between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Characters of the longest bar.
const BAR_LENGTH: usize = 40;

impl Screen {
    pub(crate) fn new(duration: Duration) -> Self {
        let terminal = Some(Term::stdout()).filter(Term::is_term);
        Self { terminal, start: Instant::now(), duration, drawn: 0, printed: None }
    }

    /// Prints an event, which stays above the table.
    pub(crate) fn announce(&mut self, what: &str) {
        let line = format!("{:>4.1} s  {what}", self.start.elapsed().as_secs_f64());
        match &self.terminal {
            Some(terminal) => {
                let _ = terminal.clear_last_lines(self.drawn);
                let _ = terminal.write_line(&line);
                self.drawn = 0;
            }
            None => println!("{line}"),
        }
    }

    /// Shows the connections of each backend.
    pub(crate) fn show(&mut self, rows: &[Row], tally: &Tally) -> std::io::Result<()> {
        match &self.terminal {
            Some(terminal) => {
                terminal.clear_last_lines(self.drawn)?;
                let lines = self.table(rows, tally);
                for line in &lines {
                    terminal.write_line(&console::truncate_str(line, terminal.size().1.into(), "…"))?;
                }
                self.drawn = lines.len();
            }
            None if self.printed.is_none_or(|printed| printed.elapsed() >= PLAIN_INTERVAL) => {
                self.printed = Some(Instant::now());
                let counts = rows.iter().map(|row| format!("{}={}", row.backend.ip(), row.connections));
                let counts = counts.collect::<Vec<_>>().join(" ");
                println!(
                    "{:>4.1} s  connections: {counts}; moved: {}; requests cut: {}",
                    self.start.elapsed().as_secs_f64(),
                    tally.ended,
                    tally.cut_requests
                );
            }
            None => {}
        }
        Ok(())
    }

    fn table(&self, rows: &[Row], tally: &Tally) -> Vec<String> {
        let most = rows.iter().map(|row| row.connections).max().unwrap_or(0).max(1);
        let elapsed = self.start.elapsed().as_secs().min(self.duration.as_secs());
        let mut lines = vec![String::new(), format!("{:<22}{:<11}{:>11}", "backend", "state", "connections")];
        lines.extend(rows.iter().map(|row| {
            let bar = "█".repeat((row.connections * BAR_LENGTH).div_ceil(most));
            format!("{:<22}{:<11}{:>11}  {bar}", row.backend, row.state, row.connections)
        }));
        lines.push(String::new());
        lines.push(format!(
            "{elapsed} of {} s, {} connections opened, {} moved, {} requests cut",
            self.duration.as_secs(),
            tally.opened,
            tally.ended,
            tally.cut_requests
        ));
        lines
    }
}
