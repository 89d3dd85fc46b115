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
    /// From PEM texts (Traefik takes the text itself in place of a file name).
    pub fn from_pem(certificate: String, key: String) -> Self {
        Self { cert_file: certificate, key_file: key }
    }

    /// From PEM texts that are looked at: a `CERTIFICATE` and a `PRIVATE KEY` have to be in them, so that a file name or
    /// the two exchanged are found here and not in Traefik's log.
    pub fn checked(certificate: String, key: String) -> Result<Self, InvalidPem> {
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            return Err(InvalidPem { what: "certificate", missing: "CERTIFICATE" });
        }
        if !key.contains("PRIVATE KEY-----") {
            return Err(InvalidPem { what: "key", missing: "PRIVATE KEY" });
        }
        Ok(Self::from_pem(certificate, key))
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}

/// A text that is no certificate or no key in PEM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has no block of PEM '{missing}'")]
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
        assert!(Certificate::checked(certificate.clone(), key.clone()).is_ok());
        assert!(Certificate::checked(key, certificate).is_err());
    }
}
