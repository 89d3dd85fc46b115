//! Lines that appear each second while an application is shown.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::interval};

use crate::{event::Event, window::Window, workers::Reports};

/// Events that are shown, if an application has them.
pub(crate) const EVENTS: [Event; 3] = [Event::RollingRestart, Event::ScaleOut, Event::RoleChange];
/// Cells of the bar for the most operations of a second so far.
const BAR: usize = 40;

/// Lines that appear each second.
pub(crate) struct Ticker {
    event: Arc<Mutex<&'static str>>,
    printing: JoinHandle<()>,
}

impl Ticker {
    /// Prints each second what was reported in it.
    pub(crate) fn start(reports: Vec<Reports>) -> Self {
        let event = Arc::new(Mutex::new("nothing happens"));
        let current = Arc::clone(&event);
        let printing = tokio::spawn(async move {
            let (mut most, mut positions) = (1, vec![0; reports.len()]);
            let mut seconds = interval(Duration::from_secs(1));
            // The first tick is at once, and about all that was before.
            seconds.tick().await;
            since(&reports, &mut positions);
            for second in 1.. {
                seconds.tick().await;
                let window = since(&reports, &mut positions);
                most = most.max(window.confirmed);
                let event = *current.lock().unwrap_or_else(PoisonError::into_inner);
                println!("{}", line(second, event, &window, most));
            }
        });
        Self { event, printing }
    }

    /// Names what happens from now on.
    pub(crate) fn name(&self, event: &'static str) {
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = event;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.printing.abort();
    }
}

/// Returns what was reported since these positions, and moves them.
fn since(reports: &[Reports], positions: &mut [usize]) -> Window {
    let mut window = Window::default();
    for (reports, position) in reports.iter().zip(positions) {
        let lines = reports.since(*position);
        *position += lines.len();
        window.add(Window::of(&lines));
    }
    window
}

fn line(second: u32, event: &str, window: &Window, most: usize) -> String {
    let bar = "█".repeat(window.confirmed * BAR / most.max(1));
    let mut line = format!("{second:>4} s  {event:<22} {bar:<BAR$} {:>4}/s", window.confirmed);
    if window.failed > 0 {
        let _ = write!(line, "  {} failed", window.failed);
    }
    if window.connected > 0 {
        let _ = write!(line, "  {} came back", window.connected);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_operations_of_a_second_and_what_failed_only_if_something_did() {
        let window = Window { confirmed: 50, ..Window::default() };
        let quiet = line(7, "rolling restart", &window, 100);
        assert_eq!(quiet, format!("   7 s  rolling restart        {:<BAR$}   50/s", "█".repeat(20)));
        let window = Window { failed: 3, connected: 2, ..window };
        assert!(line(8, "role change", &window, 100).ends_with("  50/s  3 failed  2 came back"));
        assert!(line(9, "role change", &Window::default(), 0).ends_with("   0/s"));
    }
}
