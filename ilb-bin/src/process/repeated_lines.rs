//! The lines of the libraries that are repeated: each is logged when it occurs first, and then counted.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// Keeps the same line of a library from being logged again and again.
///
/// The binary logs a line per change of state itself. A library does not know for how long its caller has been trying: it
/// may meet the same trouble at each list, each lookup or each check.
#[derive(Clone, Debug, Default)]
pub(crate) struct RepeatedLines(Arc<Mutex<HashMap<Line, Repeats>>>);

/// A line of a library. Lines are equal if they were logged at one place with the same fields, apart from [`MEASURES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    place: Identifier,
    message: String,
    fields: String,
}

/// Repetitions of a line since it was logged or summed up.
#[derive(Debug)]
struct Repeats {
    level: Level,
    times: u64,
    since: Instant,
    /// Time from `since` to the next summary.
    interval: Duration,
}

/// A summary of repetitions.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    level: Level,
    message: String,
    fields: String,
    times: u64,
    seconds: u64,
}

/// Time from a line to the first summary of its repetitions.
const FIRST_INTERVAL: Duration = Duration::from_secs(60);

/// Growth of the time from one summary to the next.
const INTERVAL_GROWTH: u32 = 10;

/// Maximum time from one summary to the next.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Maximum number of different lines that are remembered. Further ones are logged each time.
const MAX_LINES: usize = 4_096;

/// Fields that differ from one occurrence to the next, and do not make it another one.
const MEASURES: [&str; 3] = ["revision", "took", "waited"];

/// Prefix of the targets of all libraries of this project.
const LIBRARIES: &str = "ilb_";

impl RepeatedLines {
    /// Logs the summaries that are due. To be called now and then.
    pub(crate) fn sum_up(&self) {
        for Summary { level, message, fields, times, seconds } in self.summaries(Instant::now()) {
            let fields = fields.trim();
            match level {
                Level::ERROR => tracing::error!(of = fields, "{message}: repeated {times} times in {seconds} s"),
                Level::WARN => tracing::warn!(of = fields, "{message}: repeated {times} times in {seconds} s"),
                Level::INFO => tracing::info!(of = fields, "{message}: repeated {times} times in {seconds} s"),
                _ => tracing::debug!(of = fields, "{message}: repeated {times} times in {seconds} s"),
            }
        }
    }

    /// Returns whether the line is to be logged now.
    fn admit(&self, line: Line, level: Level, now: Instant) -> bool {
        let mut lines = self.lock();
        if let Some(repeats) = lines.get_mut(&line) {
            repeats.times += 1;
            return false;
        }
        if lines.len() < MAX_LINES {
            lines.insert(line, Repeats { level, times: 0, since: now, interval: FIRST_INTERVAL });
        }
        true
    }

    fn summaries(&self, now: Instant) -> Vec<Summary> {
        let mut summaries = Vec::new();
        self.lock().retain(|line, repeats| {
            let passed = now.saturating_duration_since(repeats.since);
            if passed < repeats.interval {
                return true;
            }
            if repeats.times == 0 {
                return false;
            }
            summaries.push(Summary {
                level: repeats.level,
                message: line.message.clone(),
                fields: line.fields.clone(),
                times: std::mem::take(&mut repeats.times),
                seconds: passed.as_secs(),
            });
            (repeats.since, repeats.interval) = (now, (repeats.interval * INTERVAL_GROWTH).min(MAX_INTERVAL));
            true
        });
        summaries
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Line, Repeats>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for RepeatedLines {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if !metadata.target().starts_with(LIBRARIES) {
            return true;
        }
        let mut line = Line { place: metadata.callsite(), message: String::new(), fields: String::new() };
        event.record(&mut line);
        self.admit(line, *metadata.level(), Instant::now())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if MEASURES.contains(&name) => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::process::collected_lines::Lines;

    #[test]
    fn a_line_that_a_library_repeats_is_logged_once_and_summed_up_more_and_more_rarely() {
        let repeated = RepeatedLines::default();
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber.with(repeated.clone()));
        let started = Instant::now();
        let mut sums = Vec::new();
        for second in 1..=5_000 {
            for host in ["a", "b"] {
                tracing::warn!(target: "ilb_traefik_client", host, "cannot be looked up");
            }
            sums.extend(repeated.summaries(started + Duration::from_secs(second)));
        }
        let logged = ["WARN cannot be looked up host=\"a\"", "WARN cannot be looked up host=\"b\""];
        assert_eq!(lines.take(), logged);
        sums.retain(|sum| sum.fields.contains('a'));
        assert_eq!(sums.iter().map(|sum| sum.seconds).collect::<Vec<_>>(), [60, 600, 3_600], "{sums:#?}");
        assert_eq!(sums.iter().map(|sum| sum.times).collect::<Vec<_>>(), [60, 600, 3_600]);
        assert!(sums.iter().all(|sum| (sum.level, sum.message.as_str()) == (Level::WARN, "cannot be looked up")));
    }

    #[test]
    fn a_line_that_has_not_been_repeated_for_a_minute_is_logged_again() {
        let repeated = RepeatedLines::default();
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber.with(repeated.clone()));
        let log = || tracing::info!(target: "ilb_discovery", "a watch broke off");
        log();
        log();
        assert_eq!(repeated.summaries(Instant::now() + FIRST_INTERVAL).len(), 1);
        assert_eq!(repeated.summaries(Instant::now() + FIRST_INTERVAL + MAX_INTERVAL).len(), 0);
        log();
        assert_eq!(lines.take(), ["INFO a watch broke off"; 2]);
    }

    #[test]
    fn a_measure_does_not_make_a_line_another_one() {
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber.with(RepeatedLines::default()));
        for waited in 0..3 {
            tracing::info!(target: "ilb_traefik_client", waited, "waiting for its throttle");
        }
        assert_eq!(lines.take(), ["INFO waiting for its throttle waited=0"]);
    }

    #[test]
    fn the_lines_of_the_program_itself_are_its_own_business() {
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber.with(RepeatedLines::default()));
        for _ in 0..3 {
            tracing::info!(target: "ilb", "Found pods");
        }
        assert_eq!(lines.take().len(), 3);
    }

    #[test]
    fn summaries_are_logged_at_the_level_of_the_line() {
        let repeated = RepeatedLines::default();
        let (lines, subscriber) = Lines::subscriber();
        let _guard = tracing::subscriber::set_default(subscriber.with(repeated.clone()));
        for _ in 0..3 {
            tracing::warn!(target: "ilb_discovery", object = "pod-1", "no such port");
        }
        for repeats in repeated.lock().values_mut() {
            repeats.interval = Duration::ZERO;
        }
        repeated.sum_up();
        let lines = lines.take();
        assert!(
            lines[1].starts_with("WARN no such port: repeated 2 times in 0 s of=\"object=\\\"pod-1\\\"\""),
            "{lines:#?}"
        );
    }
}
