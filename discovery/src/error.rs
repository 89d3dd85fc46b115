//! Errors that make a view of the backends stale.

use std::{error::Error as StdError, fmt, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use crate::BackendSet;

/// Reason why a view of the backends is stale.
///
/// Cheap to clone, so that a source can hand one error to several consumers. The message says what to do about it where
/// a person can do something. It does not repeat the cause, which is its [`source`](StdError::source):
/// [`with_causes`](Self::with_causes) is the whole text, for logs.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not be reached, or the connection to it broke.
    #[error("{source_name} cannot be reached")]
    Unreachable {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// Error of the connection.
        #[source]
        cause: Cause,
    },
    /// The source refuses to answer this client.
    #[error("{what}: forbidden: grant `list` and `watch` on them to this service account")]
    Forbidden {
        /// Objects asked for, such as `pods in namespace default`.
        what: String,
        /// Refusal of the source.
        #[source]
        cause: Cause,
    },
    /// The source does not recognise this client.
    #[error("{source_name} does not accept this client's credentials (has its token expired?)")]
    Unauthorized {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// Refusal of the source.
        #[source]
        cause: Cause,
    },
    /// The certificate of the source is not valid for this client.
    #[error(
        "the certificate of {source_name} is not valid here: check the clock of this machine, the authority that signs it \
         and its names"
    )]
    Certificate {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// Error of the connection, which says why.
        #[source]
        cause: Cause,
    },
    /// The source accepted a request, and then its answer timed out.
    #[error("{source_name} has been silent for {limit:?} about {what}")]
    Silent {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// Objects asked for, such as `pods in namespace default`.
        what: String,
        /// Time after which the request was given up.
        limit: Duration,
    },
    /// The source offered a state that is older than one it has shown before. It is not taken over for now.
    #[error("{source_name} went back in time with {what}: it offers version {offered} after {seen}")]
    WentBack {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// Objects asked for, such as `pods in namespace default`.
        what: String,
        /// Version that the source offers now.
        offered: u64,
        /// Newest version that the source has shown.
        seen: u64,
    },
    /// A file does not have the form that it should have.
    #[error("{}:{line}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line of the problem, counted from 1; 0 where no line can be named.
        line: u64,
        /// The problem, such as an address that is not allowed.
        #[source]
        cause: Cause,
    },
    /// A namespace without a name, which no request can be about.
    #[error("a namespace has no name: name it, or search all namespaces")]
    UnnamedNamespace,
    /// Only a part of the source may be listed: some of several namespaces, for example.
    #[error("only {} backends are known", set.len())]
    Partial {
        /// The complete sets of the parts that were listed, as one.
        set: Arc<BackendSet>,
        /// Refusal of another part.
        #[source]
        cause: Box<Error>,
    },
    /// The configuration of a client cannot be used.
    #[error("cannot make a client of the API server")]
    Client(#[source] Cause),
    /// The source answered with an error.
    #[error("{source_name} answered with an error")]
    Failed {
        /// Name of the source, such as `the API server`.
        source_name: String,
        /// The error in the answer.
        #[source]
        cause: Cause,
    },
}

impl Error {
    /// Returns a short name of the kind, the same for all errors of one variant: for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Forbidden { .. } => "forbidden",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Certificate { .. } => "certificate",
            Self::Silent { .. } => "silent",
            Self::WentBack { .. } => "went back",
            Self::Malformed { .. } => "malformed",
            Self::UnnamedNamespace => "unnamed namespace",
            Self::Partial { .. } => "partial",
            Self::Client(_) => "client",
            Self::Failed { .. } => "failed",
        }
    }

    /// Returns the pause that the source demands before the next request, where it demands one: that of the
    /// [`Refusal`] among the causes.
    pub fn retry_after(&self) -> Option<Duration> {
        let mut next = self.source();
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<Refusal>() {
                return refusal.retry_after;
            }
            next = error.source();
        }
        None
    }

    /// Returns the message followed by all its causes, each once.
    pub fn with_causes(&self) -> impl fmt::Display + '_ {
        Chain(self)
    }
}

/// Error below an [`Error`], shared by its clones. It dereferences to the original error.
///
/// Printed, it is the message followed by all its own causes, each once.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// Wraps an error, or a text as one.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into().into())
    }
}

impl Deref for Cause {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chain(&*self.0).fmt(f)
    }
}

/// Response of a source that refuses a request: the cause of an [`Error`] that a source answered with.
///
/// ```
/// use std::time::Duration;
///
/// use ilb_discovery::{Cause, Error, errors::Refusal};
///
/// let refusal = Refusal::new(429, "too many requests").with_retry_after(Some(Duration::from_secs(3)));
/// let error = Error::Failed { source_name: "the registry".into(), cause: Cause::new(refusal) };
/// assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
/// assert_eq!(error.with_causes().to_string(), "the registry answered with an error: too many requests (HTTP 429)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (HTTP {code})")]
pub struct Refusal {
    code: u16,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Creates a refusal with an HTTP status code and the source's message.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Replaces the pause that the source demands before the next request. `None` if it demands none.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// Returns the HTTP status code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the pause that the source demands before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Prints an error and everything that caused it. Many libraries repeat their source in their own message: such a text
/// is printed once.
struct Chain<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rstest::rstest;

    use super::*;

    /// An error that repeats its source in its own message, as many libraries do.
    #[derive(Debug, thiserror::Error)]
    #[error("transport error: {0}")]
    struct Repeating(#[source] io::Error);

    fn cause() -> Cause {
        Cause::new(Repeating(io::ErrorKind::ConnectionRefused.into()))
    }

    #[rstest]
    #[case(Error::Unreachable { source_name: "the test".into(), cause: cause() }, "the test cannot be reached")]
    #[case(Error::Forbidden { what: "pods".into(), cause: cause() }, "pods: forbidden: grant")]
    #[case(Error::Unauthorized { source_name: "the test".into(), cause: cause() }, "the test does not accept")]
    #[case(Error::Certificate { source_name: "the test".into(), cause: cause() }, "the certificate of the test is not")]
    #[case(Error::Malformed { path: "a.yaml".into(), line: 2, cause: cause() }, "a.yaml:2")]
    #[case(Error::Client(cause()), "cannot make a client")]
    #[case(Error::Failed { source_name: "the test".into(), cause: cause() }, "the test answered with an error")]
    fn an_error_carries_its_cause_as_source_and_prints_it_once(#[case] error: Error, #[case] message: &str) {
        let source = error.clone();
        let source = source.source().unwrap();
        assert!(source.is::<Repeating>(), "the original error, not a wrapper: {source:?}");
        assert!(source.source().unwrap().is::<io::Error>());
        assert!(error.to_string().starts_with(message) && !error.to_string().contains("transport error"), "{error}");
        let text = error.with_causes().to_string();
        assert_eq!(text, format!("{error}: transport error: connection refused"));
    }

    #[test]
    fn an_error_without_a_cause_has_no_source() {
        let limit = Duration::from_secs(1);
        let error = Error::Silent { source_name: "the test".into(), what: "pods".into(), limit };
        assert!(error.source().is_none());
        assert_eq!(error.with_causes().to_string(), error.to_string());
    }

    #[test]
    fn the_pause_that_a_source_demands_is_found_below_any_error() {
        let pause = Some(Duration::from_secs(7));
        let refusal = Cause::new(Refusal::new(429, "later").with_retry_after(pause));
        let failed = Error::Failed { source_name: "the test".into(), cause: refusal };
        assert_eq!(failed.retry_after(), pause);
        let partial = Error::Partial { set: Arc::new(BackendSet::empty()), cause: Box::new(failed) };
        assert_eq!(partial.retry_after(), pause);
        assert_eq!(Error::Client(cause()).retry_after(), None);
        assert_eq!(Error::UnnamedNamespace.retry_after(), None);
    }

    #[test]
    fn a_partial_result_names_what_is_missing() {
        let cause = Box::new(Error::Forbidden { what: "pods in namespace bank".into(), cause: cause() });
        let text = Error::Partial { set: Arc::new(BackendSet::empty()), cause }.with_causes().to_string();
        assert!(text.starts_with("only 0 backends are known: pods in namespace bank: forbidden: grant"), "{text}");
    }

    #[test]
    fn a_text_can_be_a_cause() {
        assert_eq!(Cause::new("scripted").to_string(), "scripted");
    }
}
