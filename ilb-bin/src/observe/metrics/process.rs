//! The metrics of the process, under the names that every exporter uses, and of the build.

use super::{
    convert::{number, yes_or_no},
    metric::{Kind, Metric},
    series::{Series, Value},
};
use crate::observe::insight::{InstanceIdentity, Level};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ilb_build",
        kind: Kind::Info,
        unit: None,
        help: "Version of ilb and the processor that it was built for",
        labels: &["version", "arch"],
        read: |_, series| series(&[env!("CARGO_PKG_VERSION"), std::env::consts::ARCH], Value::Info),
    },
    Metric {
        name: "ilb_instance",
        kind: Kind::Info,
        unit: None,
        help: "Pod, namespace, node and release of this ilb, each empty where it is not known; a single series",
        labels: &["ilb_pod", "ilb_namespace", "ilb_node", "release"],
        read: |s, series| {
            let InstanceIdentity { pod, namespace, node, release } = &*s.facts.instance;
            let labels = [pod, namespace, node, release].map(|name| name.as_deref().unwrap_or_default());
            series(&labels, Value::Info);
        },
    },
    Metric {
        name: "ilb_level",
        kind: Kind::Gauge,
        unit: None,
        help: "1 for the state as a whole, 0 for the others: ready, degraded (ready, and clients may be hurt), starting, or \
               not ready",
        labels: &["level"],
        read: |s, series| {
            let now = s.facts.level(s.now);
            for level in Level::ALL {
                series(&[&level.to_string()], Value::Number(yes_or_no(now == level)));
            }
        },
    },
    Metric {
        name: "ilb_loop_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Time since the controller's loop last ran, which it does every second",
        labels: &[],
        read: |s, series| {
            series(&[], Value::Number(s.now.saturating_duration_since(s.facts.beat).as_secs_f64()));
        },
    },
    Metric {
        name: "ilb_tasks",
        kind: Kind::Gauge,
        unit: None,
        help: "Asynchronous tasks that have not ended",
        labels: &[],
        read: |s, series| optional(s.process.tasks, series),
    },
    Metric {
        name: "ilb_log_lines_dropped",
        kind: Kind::Counter,
        unit: None,
        help: "Log lines that were lost because the reader of stderr has closed it or does not keep up",
        labels: &[],
        read: |s, series| series(&[], Value::Number(number(s.dropped_lines))),
    },
    Metric {
        name: "process_cpu_seconds",
        kind: Kind::Counter,
        unit: Some("seconds"),
        help: "User and system processor time",
        labels: &[],
        read: |s, series| optional(s.process.cpu_seconds, series),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Start of the process since the Unix epoch",
        labels: &[],
        read: |s, series| optional(s.process.start_seconds, series),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        help: "Resident memory",
        labels: &[],
        read: |s, series| optional(s.process.resident_bytes, series),
    },
    Metric {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        unit: Some("bytes"),
        help: "Virtual memory",
        labels: &[],
        read: |s, series| optional(s.process.virtual_bytes, series),
    },
    Metric {
        name: "process_threads",
        kind: Kind::Gauge,
        unit: None,
        help: "Threads of the operating system",
        labels: &[],
        read: |s, series| optional(s.process.threads, series),
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Gauge,
        unit: None,
        help: "Open file descriptors",
        labels: &[],
        read: |s, series| optional(s.process.open_fds, series),
    },
];

fn optional(value: Option<f64>, series: &mut Series<'_>) {
    if let Some(value) = value {
        series(&[], Value::Number(value));
    }
}
