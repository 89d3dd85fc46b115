use std::{fmt, path::PathBuf, sync::Arc};

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
        Self::Fixed(Secret(format!("Basic {}", base64(format!("{user}:{}", password.0).as_bytes()))))
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

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "")]
    #[case("f", "Zg==")]
    #[case("fo", "Zm8=")]
    #[case("foo", "Zm9v")]
    #[case("foobar", "Zm9vYmFy")]
    #[case("\u{ff}\u{fe}", "w7/Dvg==")]
    fn base64_is_that_of_the_rfc(#[case] text: &str, #[case] encoded: &str) {
        assert_eq!(base64(text.as_bytes()), encoded);
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
