use std::{panic, process};

/// From now on a panic anywhere, also in a task of its own, ends the process: half of it would only look alive.
///
/// A release is built to abort by itself; in any other build the runtime would catch the panic of a task. What was
/// going on is logged like everything else.
pub(crate) fn end_on_panic() {
    panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "A bug: ending at once");
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use crate::process::logging::{self, Log, LogFormat};

    /// Set in the process that is to panic.
    const PANIC: &str = "ILB_TEST_PANIC_IN_A_TASK";

    #[test]
    fn a_panic_in_a_task_ends_the_process_and_is_logged() {
        if std::env::var_os(PANIC).is_some() {
            panic_in_a_task();
        }
        // This very test, in a process of its own.
        let name = concat!(module_path!(), "::a_panic_in_a_task_ends_the_process_and_is_logged");
        let name = name.split_once("::").unwrap().1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", name, "--nocapture"]).env(PANIC, "yes").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(rustix::process::Signal::ABORT.as_raw()), "{output:?}");
        let line = said.lines().find(|line| line.contains("A bug: ending at once")).unwrap_or_default();
        assert!(line.contains("a slip") && line.contains(file!()), "{said}");
    }

    fn panic_in_a_task() -> ! {
        let level = tracing_subscriber::filter::LevelFilter::INFO;
        logging::start(&Log { level, format: LogFormat::Json });
        super::end_on_panic();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = tokio::spawn(async { panic!("a slip") }).await;
        });
        std::process::exit(0); // what a runtime alone leads to: the others go on
    }
}
