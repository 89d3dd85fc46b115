//! A series: the values of its labels and its value.

use prometheus_client::metrics::histogram::Histogram;

/// Receiver of one series: the values of the labels, in the order of the metric's labels, and the value.
pub(super) type Series<'a> = dyn FnMut(&[&str], Value<'_>) + 'a;

/// The value of a series.
pub(super) enum Value<'a> {
    Number(f64),
    Histogram(&'a Histogram),
    Info,
}
