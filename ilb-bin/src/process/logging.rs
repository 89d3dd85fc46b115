use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, reload::Handle};

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
}

impl Log {
    /// For a command that prints what it found: only what is wrong is logged beside it.
    pub(crate) fn problems() -> Self {
        Self { level: LevelFilter::ERROR, format: LogFormat::Text }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// Changes the level while the process logs.
pub(crate) struct Level(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    fn of<S: 'static>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Box::new(move |filter| {
            // Fails only if nobody logs any more.
            let _ = handle.reload(filter);
        }))
    }

    pub(crate) fn set(&self, level: LevelFilter) {
        (self.0)(filter(level));
    }
}

/// Starts logging to stderr.
pub(crate) fn start(log: &Log) -> Level {
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter(log.level)).with_writer(io::stderr);
    // Colours are for a person, not for a file or a pod.
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let subscriber = subscriber.with_ansi(colours);
    match log.format {
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false);
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Level::of(handle)
        }
        LogFormat::Text => {
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Level::of(handle)
        }
    }
}

/// Our own targets at `level`. kube reports each failed attempt in words of its own, at ERROR: what there is to know
/// about an outage is said once by us, so its lines show only when somebody debugs.
fn filter(level: LevelFilter) -> EnvFilter {
    let others = if level >= LevelFilter::DEBUG { "info" } else { "off" };
    let own = ["ilb", "ilb_discovery", "ilb_connections", "ilb_traefik_client", "ilb_reconciler"];
    let directives: Vec<_> = own.iter().map(|target| format!("{target}={level}")).collect();
    EnvFilter::new(format!("{others},{}", directives.join(",")))
}
