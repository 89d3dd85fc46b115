//! The asynchronous runtime.

use anyhow::Context;

/// Runs `work` on a runtime with a single thread, which is enough: ilb mostly waits, and its longest computation takes
/// milliseconds. Tasks that `work` has started end with it.
pub(crate) fn block_on<T, E: From<anyhow::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let result = runtime.block_on(work);
    // A name lookup or a sample that hangs in the kernel must not delay the exit.
    runtime.shutdown_background();
    result
}

/// Does the same for work that is woken often: as a task. To wake the future that a runtime with a single thread blocks on
/// takes a system call and another turn of the runtime.
pub(crate) fn run_as_task<T: Send + 'static, E: From<anyhow::Error> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    block_on(async { tokio::spawn(work).await.context("a task has panicked")? })
}
