//! The log of the process: where it goes, its format, and its level, which can be changed at run time.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, reload::Handle};

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

/// Changes the level while the process logs.
pub(crate) struct LevelHandle(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LevelHandle {
    fn new<S: 'static>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Box::new(move |filter| {
            // Fails only after the subscriber has been dropped.
            let _ = handle.reload(filter);
        }))
    }

    pub(crate) fn set(&self, level: LevelFilter) {
        (self.0)(filter(level));
    }
}

/// Starts logging to stderr.
pub(crate) fn start(options: &LogOptions) -> LevelHandle {
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter(options.level)).with_writer(io::stderr);
    // Colours are for terminals, not for files or pods.
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let subscriber = subscriber.with_ansi(colours);
    match options.format {
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false);
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            LevelHandle::new(handle)
        }
        LogFormat::Text => {
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            LevelHandle::new(handle)
        }
    }
}

/// Returns a filter that lets ilb's own targets through at `level`, and other targets only at `debug` and below.
///
/// kube logs an error for each failed attempt, while ilb logs an outage once: kube's lines are for debugging.
fn filter(level: LevelFilter) -> EnvFilter {
    let others = if level >= LevelFilter::DEBUG { "info" } else { "off" };
    let own = ["ilb", "ilb_discovery", "ilb_connections", "ilb_traefik_client", "ilb_reconciler"];
    let directives: Vec<_> = own.iter().map(|target| format!("{target}={level}")).collect();
    EnvFilter::new(format!("{others},{}", directives.join(",")))
}
