/// Why there is no sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel does not show its sockets to this process.
    #[error("the kernel's connections cannot be read: {0}")]
    Unavailable(String),
}
