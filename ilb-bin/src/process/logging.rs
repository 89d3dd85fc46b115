//! The log of the process: where it goes, its format, and its level, which can be changed at run time.

use std::{
    env,
    io::{self, IsTerminal},
    sync::Arc,
};

use anyhow::Context;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, layer::SubscriberExt, reload::Handle, util::SubscriberInitExt,
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
    set_filter: Arc<dyn Fn(EnvFilter) + Send + Sync>,
    lines: LogQueue,
    repeated: RepeatedLines,
}

impl Log {
    /// Starts logging to stderr.
    pub(crate) fn start(options: &LogOptions) -> anyhow::Result<Self> {
        let lines = LogQueue::start(io::stderr()).context("cannot start the thread that writes the log")?;
        let (writer, repeated) = (lines.clone(), RepeatedLines::default());
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter(options.level));
        let subscriber = subscriber.with_writer(move || writer.clone());
        // Colours are for terminals, not for files or pods.
        let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let subscriber = subscriber.with_ansi(colours);
        let set_filter = match options.format {
            LogFormat::Json => {
                let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false);
                let subscriber = subscriber.with_filter_reloading();
                let handle = subscriber.reload_handle();
                subscriber.finish().with(repeated.clone()).init();
                reloading(handle)
            }
            LogFormat::Text => {
                let subscriber = subscriber.with_filter_reloading();
                let handle = subscriber.reload_handle();
                subscriber.finish().with(repeated.clone()).init();
                reloading(handle)
            }
        };
        Ok(Self { set_filter, lines, repeated })
    }

    /// Changes the level while the process logs.
    pub(crate) fn set_level(&self, level: LevelFilter) {
        (self.set_filter)(filter(level));
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

/// Returns the function that replaces the filter behind `handle`.
fn reloading<S: 'static>(handle: Handle<EnvFilter, S>) -> Arc<dyn Fn(EnvFilter) + Send + Sync> {
    Arc::new(move |filter| {
        // Fails only after the subscriber has been dropped.
        let _ = handle.reload(filter);
    })
}

/// Returns a filter that lets ilb's own targets through at `level`, and other targets only at `debug` and below.
///
/// kube logs an error for each failed attempt, while ilb logs an outage once: kube's lines are for debugging.
fn filter(level: LevelFilter) -> EnvFilter {
    let others = if level >= LevelFilter::DEBUG { "info" } else { "off" };
    let own = ["ilb", "ilb_controller", "ilb_discovery", "ilb_connections", "ilb_traefik_client", "ilb_reconciler"];
    let directives: Vec<_> = own.iter().map(|target| format!("{target}={level}")).collect();
    EnvFilter::new(format!("{others},{}", directives.join(",")))
}
