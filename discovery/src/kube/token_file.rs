//! The bearer token in a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use http::{
    HeaderValue, Request,
    header::{AUTHORIZATION, InvalidHeaderValue},
};
use kube::config::AuthInfo;

/// Reads the bearer token from a file that is renewed, by the kubelet for example, for each request.
///
/// kube's own client reads the file again when a minute has passed by the wall clock. After the clock steps back by an
/// hour, it sends the old token for an hour, although that expires in the meantime. Reading the file each time is cheap,
/// since there are few requests.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    /// Header of the last good token. Some deployments remove the file after the program has started.
    last: Arc<Mutex<HeaderValue>>,
}

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
        match read(&path) {
            Ok(header) => Ok(Self { path, last: Arc::new(Mutex::new(header)) }),
            Err(source) => Err(UnreadableTokenFile { path, source }),
        }
    }

    /// Adds the token to `request`.
    pub(super) fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(header) = read(&self.path) {
            *last = header;
        }
        request.headers_mut().insert(AUTHORIZATION, last.clone());
        request
    }
}

fn read(path: &Path) -> io::Result<HeaderValue> {
    let text = fs::read_to_string(path)?;
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
    use rstest::rstest;

    use super::*;
    use crate::Cause;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    fn sent(token: &TokenFile) -> String {
        token.authorize(Request::new(())).headers()[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_present_token_is_sent_and_the_last_one_when_there_is_none() {
        let file = file("first\n");
        let token = TokenFile::open(file.path().into()).unwrap();
        assert_eq!(sent(&token), "Bearer first");
        fs::write(&file, "second").unwrap();
        assert_eq!(sent(&token), "Bearer second");
        fs::write(&file, "").unwrap();
        assert_eq!(sent(&token), "Bearer second", "half written");
        drop(file);
        assert_eq!(sent(&token), "Bearer second", "removed");
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let request = TokenFile::open(file("secret").path().into()).unwrap().authorize(Request::new(()));
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
        let error = read(file("a\nb").path()).unwrap_err();
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
