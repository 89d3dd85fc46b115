//! The exit of the process on a panic.

use std::{panic, process};

use super::logging::Log;

/// Makes every later panic, also that of a task, log itself and abort the process.
///
/// Otherwise the process would go on without the task that has panicked and still look alive. A release build aborts on
/// its own; in other builds the runtime would catch the panic of a task.
pub(crate) fn abort_on_panic(log: Log) {
    panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "A bug in ilb: aborting");
        log.flush();
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use crate::process::logging::{Log, LogFormat, LogOptions};

    /// Environment variable of the process that is to panic.
    const PANIC: &str = "ILB_TEST_PANIC_IN_A_TASK";

    #[test]
    fn a_panic_in_a_task_aborts_the_process_and_is_logged() {
        if std::env::var_os(PANIC).is_some() {
            panic_in_a_task();
        }
        // Runs this test again in another process.
        let name = concat!(module_path!(), "::a_panic_in_a_task_aborts_the_process_and_is_logged");
        let name = name.split_once("::").unwrap().1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", name, "--nocapture"]).env(PANIC, "yes").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(rustix::process::Signal::ABORT.as_raw()), "{output:?}");
        let line = stderr.lines().find(|line| line.contains("A bug in ilb: aborting")).unwrap_or_default();
        assert!(line.contains("a slip") && line.contains(file!()), "{stderr}");
    }

    fn panic_in_a_task() -> ! {
        let level = tracing_subscriber::filter::LevelFilter::INFO;
        super::abort_on_panic(Log::start(&LogOptions { level, format: LogFormat::Json }).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = tokio::spawn(async { panic!("a slip") }).await;
        });
        std::process::exit(0); // reached if the runtime caught the panic
    }
}
