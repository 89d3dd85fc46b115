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
    #[error("{what}: forbidden: grant `list` and `watch` on them to this service account ({cause})")]
    Forbidden {
        /// What was asked for, such as `pods in namespace default`.
        what: String,
        /// What the source said.
        cause: Cause,
    },
    /// The source does not know who this client is.
    #[error("{source_name} does not accept this client's credentials: has its token expired? ({cause})")]
    Unauthorized {
        /// What was asked, such as `the API server`.
        source_name: String,
        /// What it said.
        cause: Cause,
    },
    /// The source accepted a request and then said nothing for longer than it may.
    #[error("{source_name} has been silent for {limit:?} about {what}")]
    Silent {
        /// What was asked, such as `the API server`.
        source_name: String,
        /// What was asked for, such as `pods in namespace default`.
        what: String,
        /// How long it was waited for.
        limit: std::time::Duration,
    },
    /// The source offered a state that is older than one it has shown before. It is not taken over for now.
    #[error("{source_name} went back in time with {what}: it offers version {offered} after {seen}")]
    WentBack {
        /// What was asked, such as `the API server`.
        source_name: String,
        /// What was asked for, such as `pods in namespace default`.
        what: String,
        /// The version of what it offers now.
        offered: u64,
        /// The newest version that it has shown.
        seen: u64,
    },
    /// A file is not what it should be.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// The line of the problem, counted from 1; 0 where no line can be named.
        line: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The settings of a client cannot be used.
    #[error("cannot make a client of the API server: {0}")]
    Client(Cause),
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
            Self::Unauthorized { .. } => "unauthorized",
            Self::Silent { .. } => "silent",
            Self::WentBack { .. } => "went back",
            Self::Malformed { .. } => "malformed",
            Self::Client(_) => "client",
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

    /// Wraps an error whose type is not known any more.
    pub fn boxed(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self(error.into())
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
