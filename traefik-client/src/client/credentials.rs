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

/// Who the client says it is.
#[derive(Clone, Debug, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    /// The value of the header.
    Fixed(Secret),
    /// A file with a token. It is read for each call, so a token that is replaced in time is never missed; next to the
    /// call itself that costs nothing.
    TokenFile(Arc<PathBuf>),
}

impl Credentials {
    pub(super) fn basic(user: &str, password: &Secret) -> Self {
        Self::Fixed(Secret(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)))))
    }

    pub(super) fn bearer(token: &Secret) -> Self {
        Self::Fixed(Secret(format!("Bearer {}", token.0)))
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let value = match self {
            Self::None => return Ok(None),
            Self::Fixed(value) => HeaderValue::from_str(&value.0),
            Self::TokenFile(path) => {
                let token = std::fs::read_to_string(path.as_path())
                    .map_err(|e| Error::Credentials(format!("{}: {e}", path.display())))?;
                HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            }
        };
        let mut value = value.map_err(|_| Error::Credentials("they hold what no header can".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
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
    }
}
