//! The log of the process: where it goes, and its level and format, which can be changed at run time.

use std::{
    env,
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Json, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

use super::log_queue::LogQueue;
pub(crate) use super::{log_queue::DroppedLines, repeated_lines::RepeatedLines};

/// Level and format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
}

impl LogOptions {
    /// Returns the options of a command that prints a result: only errors are logged beside it.
    pub(crate) fn errors_only() -> Self {
        Self { level: LevelFilter::ERROR, format: LogFormat::Text }
    }
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// The log of the process, which never waits for the reader of stderr.
#[derive(Clone)]
pub(crate) struct Log {
    set_filter: Arc<dyn Fn(Targets) + Send + Sync>,
    format: LineFormat,
    lines: LogQueue,
    repeated: RepeatedLines,
}

impl Log {
    /// Starts logging to stderr.
    pub(crate) fn start(options: &LogOptions) -> anyhow::Result<Self> {
        let lines = LogQueue::start(io::stderr()).context("cannot start the thread that writes the log")?;
        let (writer, repeated) = (lines.clone(), RepeatedLines::default());
        let format = LineFormat::new(options.format);
        // Colours are for terminals, not for files or pods.
        let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let lines_of = fmt::layer().with_ansi(colours).event_format(format.clone()).with_writer(move || writer.clone());
        let (filter, handle) = reload::Layer::new(filter(options.level));
        tracing_subscriber::registry().with(filter).with(lines_of).with(repeated.clone()).init();
        let set_filter = reloading(handle);
        Ok(Self { set_filter, format, lines, repeated })
    }

    /// Changes level and format while the process logs.
    pub(crate) fn set(&self, options: &LogOptions) {
        (self.set_filter)(filter(options.level));
        self.format.set(options.format);
    }

    /// Returns the number of lines that were dropped because the reader of stderr has closed it or is too slow.
    pub(crate) fn dropped_lines(&self) -> DroppedLines {
        self.lines.dropped()
    }

    /// Returns the lines of libraries that have been repeated, to sum them up.
    pub(crate) fn repeated_lines(&self) -> RepeatedLines {
        self.repeated.clone()
    }

    /// Waits a moment for the last lines to be written. To be called before the process exits.
    pub(crate) fn flush(&self) {
        self.lines.flush();
    }
}

/// Writes each event in the format that is in effect at that moment.
#[derive(Clone)]
struct LineFormat {
    is_json: Arc<AtomicBool>,
    json: Format<Json>,
    text: Format<Full>,
}

impl LineFormat {
    fn new(format: LogFormat) -> Self {
        let json = fmt::format().json().flatten_event(true).with_current_span(false).with_span_list(false);
        let is_json = Arc::new(AtomicBool::new(format == LogFormat::Json));
        Self { is_json, json, text: fmt::format() }
    }

    fn set(&self, format: LogFormat) {
        self.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        if self.is_json.load(Ordering::Relaxed) {
            self.json.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}

/// Returns the function that replaces the filter behind `handle`.
fn reloading<S: 'static>(handle: Handle<Targets, S>) -> Arc<dyn Fn(Targets) + Send + Sync> {
    Arc::new(move |filter| {
        // Fails only after the subscriber has been dropped.
        let _ = handle.reload(filter);
    })
}

/// Returns a filter that lets ilb's own targets through at `level`, and other targets only at `debug` and below.
///
/// kube logs an error for each failed attempt, while ilb logs an outage once: kube's lines are for debugging.
fn filter(level: LevelFilter) -> Targets {
    let others = if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { LevelFilter::OFF };
    let own = [
        "ilb",
        "ilb_controller",
        "ilb_discovery",
        "ilb_connections",
        "ilb_traefik_client",
        "ilb_reconciler",
        "ilb_siblings",
    ];
    Targets::new().with_default(others).with_targets(own.map(|target| (target, level)))
}
