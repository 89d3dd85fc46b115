//! The bars that a push is to meet.

use ilb_benches::bar::Bar;

use crate::costs::Costs;

/// Returns the bars whose values have been measured.
pub(crate) fn bars(costs: &Costs) -> Vec<Bar> {
    let row = |backends| costs.backends.get(&backends);
    let bar = |name, value: Option<f64>, limit| value.map(|value| Bar::new(name, value, limit));
    let bars = [
        bar("1 000 backends: time of a push, relative to a bare socket", row(1_000).map(|row| row.ratio), 1.25),
        bar("3 000 backends: processor time of ilb for a push, in ms", row(3_000).map(|row| row.cpu_ms_per_push), 15.0),
    ];
    bars.into_iter().flatten().collect()
}
