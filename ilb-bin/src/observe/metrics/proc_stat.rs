//! The figures of this process, from `/proc` and the runtime.

use std::{fs, time::Duration};

use tokio::runtime::Handle;

use super::convert::size;

/// Figures of this process, each `None` if the kernel does not provide it.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) tasks: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) virtual_bytes: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) open_fds: Option<f64>,
}

impl Process {
    /// Reads the figures. `runtime` is the one whose tasks are counted.
    pub(super) fn read(runtime: Option<&Handle>) -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let tasks = runtime.map(|runtime| size(runtime.metrics().num_alive_tasks()));
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|files| size(files.count()));
        Self { tasks, open_fds, ..Self::parse(&stat, &boot).unwrap_or_default() }
    }

    /// Parses `/proc/self/stat` and `/proc/stat`, which proc(5) describes.
    fn parse(stat: &str, boot: &str) -> Option<Self> {
        // The second field, the name in parentheses, may contain anything. The third follows its last parenthesis.
        let fields: Vec<f64> = stat.rsplit_once(')')?.1.split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let boot_seconds = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        Some(Self {
            cpu_seconds: Some((field(14)? + field(15)?) * CLOCK_TICK.as_secs_f64()),
            start_seconds: boot_seconds.and_then(|boot| Some(boot + field(22)? * CLOCK_TICK.as_secs_f64())),
            threads: field(20),
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages * size(rustix::param::page_size())),
            ..Self::default()
        })
    }
}

/// Unit of the times in `/proc`: 100 Hz on every platform that Kubernetes runs on.
const CLOCK_TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 1000 4096 2 0";
        let process = Process::parse(stat, "cpu 1\nbtime 100\n").unwrap();
        assert_eq!(process.cpu_seconds, Some(2.0));
        assert_eq!(process.start_seconds, Some(110.0));
        assert_eq!((process.threads, process.virtual_bytes), (Some(3.0), Some(4096.0)));
        assert_eq!(process.resident_bytes, Some(2.0 * size(rustix::param::page_size())));
    }

    #[test]
    fn this_process_can_be_read() {
        let process = Process::read(None);
        assert!(process.resident_bytes > Some(100_000.0), "{process:?}");
        assert!(process.open_fds > Some(2.0), "{process:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(stat in "[0-9a-z() .-]{0,200}", boot in "(btime )?.{0,20}\n.{0,20}") {
            let _ = Process::parse(&stat, &boot);
        }
    }
}
