//! Credentials that the client sends to Traefik.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::header::HeaderValue;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use crate::Error;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// Credentials of the client.
#[derive(Clone, Debug, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    /// Complete value of the header.
    Fixed(Secret),
    /// File with a token. It is read for each request, so a token that is replaced in time is never missed; beside the
    /// request itself the cost does not count.
    TokenFile(TokenFile),
}

/// A file that is read on another thread, because its volume may not answer.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    path: Arc<PathBuf>,
    /// Read in progress, or one that has not ended in time: until it ends, no other one is begun.
    reading: Arc<Mutex<Option<JoinHandle<io::Result<String>>>>>,
}

impl Credentials {
    pub(super) fn basic(user: &str, password: &Secret) -> Self {
        Self::Fixed(Secret(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)))))
    }

    pub(super) fn bearer(token: &Secret) -> Self {
        Self::Fixed(Secret(format!("Bearer {}", token.0)))
    }

    pub(super) fn token_file(path: impl Into<PathBuf>) -> Self {
        Self::TokenFile(TokenFile { path: Arc::new(path.into()), reading: Arc::default() })
    }

    /// Returns the value of the `Authorization` header. A file is waited for no longer than `max_wait`.
    pub(super) async fn header(&self, max_wait: Duration) -> Result<Option<HeaderValue>, Error> {
        let value = match self {
            Self::None => return Ok(None),
            Self::Fixed(value) => HeaderValue::from_str(&value.0),
            Self::TokenFile(file) => {
                let no_answer = || Err(io::Error::new(io::ErrorKind::TimedOut, "its file system does not answer"));
                let token = timeout(max_wait, file.read()).await.unwrap_or_else(|_| no_answer());
                let token = token.map_err(|e| Error::Credentials {
                    problem: format!("{}: {e}", file.path.display()),
                    source: Some(e.into()),
                })?;
                HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            }
        };
        let mut value = value.map_err(|e| Error::Credentials {
            problem: "they contain characters that are not allowed in a header".to_owned(),
            source: Some(e.into()),
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl TokenFile {
    async fn read(&self) -> io::Result<String> {
        let mut reading = self.reading.lock().await;
        // The text of an earlier read may be older than this call.
        if let Some(earlier) = reading.as_mut() {
            let _ = earlier.await;
        }
        let path = Arc::clone(&self.path);
        let read = reading.insert(spawn_blocking(move || std::fs::read_to_string(path.as_path()))).await;
        *reading = None;
        read.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rstest::rstest;

    use super::*;

    const MAX_WAIT: Duration = Duration::from_secs(3);

    /// The credentials of RFC 7617 and others, one for each length of padding.
    #[rstest]
    #[case("", "", "Basic Og==")]
    #[case("f", "", "Basic Zjo=")]
    #[case("fo", "", "Basic Zm86")]
    #[case("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")]
    #[case("\u{ff}\u{fe}", "~?", "Basic w7/Dvjp+Pw==")]
    #[tokio::test]
    async fn basic_credentials_are_encoded_as_the_rfc_says(
        #[case] user: &str,
        #[case] password: &str,
        #[case] header: &str,
    ) {
        let credentials = Credentials::basic(user, &password.into());
        assert_eq!(credentials.header(MAX_WAIT).await.unwrap().unwrap(), header);
    }

    #[tokio::test]
    async fn a_secret_is_not_printed() {
        let credentials = Credentials::basic("user", &"hunter2".into());
        let header = credentials.header(MAX_WAIT).await.unwrap().unwrap();
        assert_eq!(format!("{credentials:?} {header:?}"), "Fixed(Secret) Sensitive");
        assert_eq!(header, "Basic dXNlcjpodW50ZXIy");
    }

    #[tokio::test]
    async fn credentials_that_no_header_can_hold_are_an_error_that_does_not_print_them() {
        let error = Credentials::bearer(&"to\nken".into()).header(MAX_WAIT).await.unwrap_err();
        assert!(!error.to_string().contains("ken\""), "{error}");
        assert!(!format!("{error:?}").contains("ken\""), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_whose_volume_does_not_answer_is_named_after_the_time_limit() {
        let file = TokenFile { path: Arc::new("/volume/token".into()), reading: Arc::default() };
        let (_answer, answers) = std::sync::mpsc::channel::<()>();
        *file.reading.lock().await = Some(spawn_blocking(move || Err(io::Error::other(answers.recv().unwrap_err()))));
        let credentials = Credentials::TokenFile(file);
        let (result, ()) = tokio::join!(credentials.header(MAX_WAIT), tokio::time::advance(MAX_WAIT));
        let error = result.unwrap_err();
        assert!(error.to_string().contains("/volume/token: its file system does not answer"), "{error}");
    }

    #[tokio::test]
    async fn a_token_file_that_is_missing_is_named_and_is_the_source() {
        let error = Credentials::token_file("/nonexistent/token").header(MAX_WAIT).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token: No such file"), "{error}");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
}
