//! Reasons why no client can be built.

use std::borrow::Cow;

use crate::error::Cause;

/// Reason why no client can be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// A certificate or key is invalid.
    #[error("the {what} cannot be used")]
    Tls {
        /// Subject, such as `authorities`.
        what: &'static str,
        /// Error of the TLS library.
        source: Cause,
    },
    /// The PEM text with the authorities contains no certificate.
    #[error("the authorities cannot be used: they contain no certificate in PEM")]
    NoAuthority,
    /// The program has not installed a crypto provider.
    #[error(
        "no rustls crypto provider is installed: call \
         rustls::crypto::ring::default_provider().install_default() at the start of the program"
    )]
    NoCryptoProvider,
    /// The HTTP library refused its settings.
    #[error("no HTTP client can be built")]
    Client(#[source] Cause),
}

/// A text that cannot be the URL of a Traefik.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; give an http URL such as http://localhost:8080/api/providers/rest")]
pub struct InvalidUrl {
    problem: Cow<'static, str>,
    source: Option<Cause>,
}

impl InvalidUrl {
    pub(super) fn new(problem: impl Into<Cow<'static, str>>) -> Self {
        Self { problem: problem.into(), source: None }
    }

    pub(super) fn unparsable(error: impl Into<Cause>) -> Self {
        Self { problem: "it is not a URL".into(), source: Some(error.into()) }
    }

    /// Returns the problem with its cause, without the way out.
    pub fn problem(&self) -> String {
        self.source.as_ref().map_or_else(|| self.problem.to_string(), |source| format!("{} ({source})", self.problem))
    }
}

/// Removes the URL, which may contain a secret path, from an error of the HTTP client.
pub(super) fn without_url(error: reqwest::Error) -> Cause {
    error.without_url().into()
}
