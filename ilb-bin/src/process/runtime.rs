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
