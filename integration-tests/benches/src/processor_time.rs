//! Processor time of other processes.

use std::fs;

use anyhow::Context;

/// Returns the processor seconds of a process (`self` or its id): `utime` and `stime` of `/proc/PID/stat`, which Linux counts
/// in hundredths of a second on every usual machine.
pub fn seconds_of(process: &str) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has another form")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
