/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL is none, or none of a Traefik.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The certificates are none, or do not fit.
    #[error("the {what} cannot be used: {problem}")]
    Tls {
        /// Which ones.
        what: &'static str,
        /// What is wrong with them.
        problem: String,
    },
    /// The program has installed no cryptography.
    #[error(
        "no rustls crypto provider is installed: call \
         rustls::crypto::ring::default_provider().install_default() at the start of the program"
    )]
    NoCryptoProvider,
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

/// A text that cannot be the address of a Traefik.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; give an http URL such as http://localhost:8080/api/providers/rest")]
pub struct InvalidUrl(String);

impl InvalidUrl {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// What is wrong with it, without the way out.
    pub fn problem(&self) -> &str {
        &self.0
    }
}

pub(super) fn without_url(error: reqwest::Error) -> String {
    error.without_url().to_string()
}
