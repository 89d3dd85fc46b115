//! Certificates of servers behind a balancer: what they name is the address that clients connect to.

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt as _, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A certificate with its key, and the authority that has signed it, in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Creates a certificate for the server that clients know as `address`.
    pub(crate) fn for_address(address: IpAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-apps-certificate-").tempdir()?;
        // Servers run as other users.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose subject is its issuer is taken for one that has signed itself.
        authority.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let authority_certificate = authority.self_signed(&authority_key)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.to_string()])?;
        let certificate = certificate.signed_by(&key, &Issuer::new(authority, authority_key))?;
        let this = Self { folder };
        fs::write(this.authority(), authority_certificate.pem())?;
        fs::write(this.certificate(), certificate.pem())?;
        fs::write(this.key(), key.serialize_pem())?;
        fs::set_permissions(this.key(), fs::Permissions::from_mode(0o640))?;
        Ok(this)
    }

    /// Returns the path of the authority's certificate, which clients are given.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.crt")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}
