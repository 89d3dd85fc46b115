//! The bearer token in a file.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    HeaderValue, Request,
    header::{AUTHORIZATION, InvalidHeaderValue},
};
use kube::config::AuthInfo;
use tokio::time::timeout;

use crate::FileReader;

/// Reads the bearer token from a file that is renewed, by the kubelet for example, for each request.
///
/// kube's own client reads the file again when a minute has passed by the wall clock. After the clock steps back by an
/// hour, it sends the old token for an hour, although that expires in the meantime. Reading the file each time is cheap,
/// since there are few requests.
#[derive(Clone)]
pub(super) struct TokenFile(Arc<Shared>);

/// State that all requests share.
struct Shared {
    reader: tokio::sync::Mutex<FileReader>,
    /// Header of the last good token. Some deployments remove the file after the program has started.
    last: Mutex<HeaderValue>,
}

/// Maximum size of the file.
const MAX_BYTES: u64 = 1024 * 1024;

/// Maximum time for which a request waits for the file, whose volume may not answer. Then it gets the last good token.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Error of a token file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the token file {}", path.display())]
pub(super) struct UnreadableTokenFile {
    path: PathBuf,
    source: io::Error,
}

/// Error of a token that cannot be sent in a header.
#[derive(Debug, thiserror::Error)]
#[error("it contains characters that are not allowed in a token")]
struct InvalidToken(#[source] InvalidHeaderValue);

impl TokenFile {
    /// Opens the token file that `credentials` name, unless they contain something that takes precedence over it.
    pub(super) fn from_credentials(credentials: &AuthInfo) -> Result<Option<Self>, UnreadableTokenFile> {
        let AuthInfo { username, password, token, auth_provider, token_file, .. } = credentials;
        let is_overridden = auth_provider.is_some() || token.is_some() || (username.is_some() && password.is_some());
        match token_file {
            Some(path) if !is_overridden => Self::open(path.into()).map(Some),
            _ => Ok(None),
        }
    }

    fn open(path: PathBuf) -> Result<Self, UnreadableTokenFile> {
        let reader = FileReader::new(&path, MAX_BYTES);
        match reader.read_now().and_then(|text| header(&text)) {
            Ok(header) => Ok(Self(Arc::new(Shared { reader: reader.into(), last: Mutex::new(header) }))),
            Err(source) => Err(UnreadableTokenFile { path, source }),
        }
    }

    /// Adds the token to `request`.
    pub(super) async fn authorize<B>(self, mut request: Request<B>) -> Request<B> {
        let read = timeout(READ_TIMEOUT, async { self.0.reader.lock().await.read().await }).await;
        let new = read.ok().and_then(|read| header(&read.ok()?).ok());
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = new {
            *last = new;
        }
        request.headers_mut().insert(AUTHORIZATION, last.clone());
        drop(last);
        request
    }
}

fn header(text: &str) -> io::Result<HeaderValue> {
    let token = text.trim();
    if token.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, InvalidToken(error)))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;
    use crate::Cause;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    async fn sent(token: &TokenFile) -> String {
        let request = token.clone().authorize(Request::new(())).await;
        request.headers()[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_present_token_is_sent_and_the_last_one_when_there_is_none() {
        let file = file("first\n");
        let token = TokenFile::open(file.path().into()).unwrap();
        assert_eq!(sent(&token).await, "Bearer first");
        fs::write(&file, "second").unwrap();
        assert_eq!(sent(&token).await, "Bearer second");
        fs::write(&file, "").unwrap();
        assert_eq!(sent(&token).await, "Bearer second", "half written");
        drop(file);
        assert_eq!(sent(&token).await, "Bearer second", "removed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_that_does_not_answer_delays_a_request_for_a_second_and_nothing_else() {
        let file = file("token");
        let token = TokenFile::open(file.path().into()).unwrap();
        let _hangs = token.0.reader.lock().await;
        let started = tokio::time::Instant::now();
        assert_eq!(sent(&token).await, "Bearer token");
        assert_eq!(started.elapsed(), READ_TIMEOUT);
    }

    #[tokio::test]
    async fn a_token_is_not_shown_by_debug() {
        let request = TokenFile::open(file("secret").path().into()).unwrap().authorize(Request::new(())).await;
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[rstest]
    #[case::empty(" \n", "it is empty")]
    #[case::no_token("a\nb", "not allowed in a token")]
    fn a_file_without_a_token_is_an_error_that_names_it(#[case] content: &str, #[case] problem: &str) {
        let file = file(content);
        let error = Cause::new(TokenFile::open(file.path().into()).err().unwrap()).to_string();
        assert!(error.contains(problem) && error.contains(&file.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_token_that_cannot_be_sent_keeps_the_error_of_the_header() {
        let error = header("a\nb").unwrap_err();
        assert!(error.get_ref().unwrap().source().unwrap().is::<InvalidHeaderValue>());
    }

    #[rstest]
    #[case::alone(r#"{"tokenFile": "PATH"}"#, true)]
    #[case::beside_a_token(r#"{"tokenFile": "PATH", "token": "other"}"#, false)]
    #[case::beside_a_password(r#"{"tokenFile": "PATH", "username": "me", "password": "other"}"#, false)]
    #[case::beside_half_of_a_password(r#"{"tokenFile": "PATH", "username": "me"}"#, true)]
    #[case::none("{}", false)]
    fn credentials_that_override_a_token_file_in_kube_do_so_here(#[case] credentials: &str, #[case] used: bool) {
        let file = file("token");
        let credentials = credentials.replace("PATH", &file.path().display().to_string());
        let credentials: AuthInfo = serde_json::from_str(&credentials).unwrap();
        assert_eq!(TokenFile::from_credentials(&credentials).unwrap().is_some(), used);
    }
}
