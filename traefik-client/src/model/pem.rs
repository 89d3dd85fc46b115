//! Certificates with their keys.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A certificate and its private key, in PEM.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    cert_file: String,
    key_file: String,
}

impl Certificate {
    /// Creates it from PEM texts, which Traefik accepts in place of file names.
    pub fn from_pem(certificate: String, key: String) -> Self {
        Self { cert_file: certificate, key_file: key }
    }

    /// Creates it from PEM texts that contain a `CERTIFICATE` and a `PRIVATE KEY`. So a file name, or the two in the wrong
    /// order, is reported here and not only in Traefik's log.
    pub fn try_from_pem(certificate: String, key: String) -> Result<Self, InvalidPem> {
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            return Err(InvalidPem { what: "certificate", missing: "CERTIFICATE" });
        }
        if !key.contains("PRIVATE KEY-----") {
            return Err(InvalidPem { what: "key", missing: "PRIVATE KEY" });
        }
        Ok(Self::from_pem(certificate, key))
    }
}

/// Omits the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}

/// A text that is not a certificate, or not a key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} contains no PEM block '{missing}'")]
pub struct InvalidPem {
    what: &'static str,
    missing: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let certificate = Certificate::from_pem("public".into(), "secret".into());
        assert!(!format!("{certificate:?}").contains("secret"));
    }

    #[test]
    fn certificate_and_key_exchanged_are_found() {
        let (certificate, key) = ("-----BEGIN CERTIFICATE-----".to_owned(), "-----BEGIN PRIVATE KEY-----".to_owned());
        assert!(Certificate::try_from_pem(certificate.clone(), key.clone()).is_ok());
        assert!(Certificate::try_from_pem(key, certificate).is_err());
    }
}
