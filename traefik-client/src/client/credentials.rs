//! Credentials that the client sends to Traefik.

use std::{fmt, path::PathBuf, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::header::HeaderValue;

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
    TokenFile(Arc<PathBuf>),
}

impl Credentials {
    pub(super) fn basic(user: &str, password: &Secret) -> Self {
        Self::Fixed(Secret(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)))))
    }

    pub(super) fn bearer(token: &Secret) -> Self {
        Self::Fixed(Secret(format!("Bearer {}", token.0)))
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let value = match self {
            Self::None => return Ok(None),
            Self::Fixed(value) => HeaderValue::from_str(&value.0),
            Self::TokenFile(path) => {
                let token = std::fs::read_to_string(path.as_path()).map_err(|e| Error::Credentials {
                    problem: format!("{}: {e}", path.display()),
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rstest::rstest;

    use super::*;

    /// The credentials of RFC 7617 and others, one for each length of padding.
    #[rstest]
    #[case("", "", "Basic Og==")]
    #[case("f", "", "Basic Zjo=")]
    #[case("fo", "", "Basic Zm86")]
    #[case("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")]
    #[case("\u{ff}\u{fe}", "~?", "Basic w7/Dvjp+Pw==")]
    fn basic_credentials_are_encoded_as_the_rfc_says(#[case] user: &str, #[case] password: &str, #[case] header: &str) {
        assert_eq!(Credentials::basic(user, &password.into()).header().unwrap().unwrap(), header);
    }

    #[test]
    fn a_secret_is_not_printed() {
        let credentials = Credentials::basic("user", &"hunter2".into());
        let header = credentials.header().unwrap().unwrap();
        assert_eq!(format!("{credentials:?} {header:?}"), "Fixed(Secret) Sensitive");
        assert_eq!(header, "Basic dXNlcjpodW50ZXIy");
    }

    #[test]
    fn credentials_that_no_header_can_hold_are_an_error_that_does_not_print_them() {
        let error = Credentials::bearer(&"to\nken".into()).header().unwrap_err();
        assert!(!error.to_string().contains("ken\""), "{error}");
        assert!(!format!("{error:?}").contains("ken\""), "{error:?}");
    }

    #[test]
    fn a_token_file_that_is_missing_is_named_and_is_the_source() {
        let error = Credentials::TokenFile(Arc::new("/nonexistent/token".into())).header().unwrap_err();
        assert!(error.to_string().contains("/nonexistent/token: No such file"), "{error}");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }
}
