use std::{error::Error as StdError, sync::Arc};

/// Why a view of the backends is stale.
///
/// Cheap to clone, so that a source can hand one cause to several consumers. Its message says what to do about it where
/// a person can do something.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not be reached, or the connection to it broke.
    #[error("{source_name} cannot be reached: {cause}")]
    Unreachable {
        /// What was asked, such as `the API server`.
        source_name: String,
        /// The cause, as text down to the operating system's word.
        cause: Cause,
    },
    /// The source refuses to answer this client.
    #[error("{what} is forbidden: grant `list` and `watch` on pods there to this service account ({cause})")]
    Forbidden {
        /// What was asked for, such as `listing pods in namespace default`.
        what: String,
        /// What the source said.
        cause: Cause,
    },
    /// The source answered with an error.
    #[error("{source_name} answered with an error: {cause}")]
    Failed {
        /// What was asked, such as `the API server`.
        source_name: String,
        /// What it said.
        cause: Cause,
    },
}

impl Error {
    /// A short name of the kind, the same for all errors of one cause: for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Forbidden { .. } => "forbidden",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The cause below an [`Error`], printed with everything that it was caused by itself.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// Wraps the error of a library.
    pub fn new(error: impl StdError + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries repeat their source in their own message: once is enough.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            next = error.source();
        }
        Ok(())
    }
}
