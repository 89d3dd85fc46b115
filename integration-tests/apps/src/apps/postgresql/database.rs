//! A server: PostgreSQL, and in one of the two set-ups a pgbouncer before it, in the same pod.

use std::net::SocketAddr;

use ilb_testbed::apps::{PgBouncer, Place, Postgres, Running};

use crate::certificate::Certificate;

pub(crate) struct Database {
    pub(super) postgres: Postgres,
    bouncer: Option<PgBouncer>,
}

/// Port of PostgreSQL, to which the other servers connect: behind a pgbouncer, no client does.
const PORT: u16 = 5432;
/// Connections that a server allows.
pub(super) const MAX_CONNECTIONS: usize = 100;

impl Database {
    /// Creates a database, to which clients of the `place` connect.
    pub(super) async fn primary(place: Place, certificate: &Certificate, is_pooled: bool) -> anyhow::Result<Self> {
        let parameters = parameters(certificate);
        let postgres = Postgres::with(at_its_port(&place), &borrowed(&parameters)).await?;
        // Without a standby, no commit would be confirmed yet.
        postgres.sql("SET synchronous_commit = local; CREATE TABLE operations (number bigint)").await?;
        Self::with(postgres, place, certificate, is_pooled).await
    }

    /// Copies the primary at this address, and follows it.
    pub(super) async fn standby(
        place: Place,
        primary: SocketAddr,
        certificate: &Certificate,
        is_pooled: bool,
    ) -> anyhow::Result<Self> {
        let parameters = parameters(certificate);
        let postgres = Postgres::standby(at_its_port(&place), primary, &borrowed(&parameters)).await?;
        Self::with(postgres, place, certificate, is_pooled).await
    }

    async fn with(
        postgres: Postgres,
        place: Place,
        certificate: &Certificate,
        is_pooled: bool,
    ) -> anyhow::Result<Self> {
        let mut this = Self { postgres, bouncer: None };
        if is_pooled {
            let (address, certificate, key) = (this.postgres.address(), certificate.certificate(), certificate.key());
            this.bouncer = Some(PgBouncer::start(place, address, &certificate, &key).await?);
        }
        Ok(this)
    }
}

impl Running for Database {
    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(bouncer) = &mut self.bouncer {
            bouncer.stop().await?;
        }
        self.postgres.stop().await
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(bouncer) = &mut self.bouncer {
            bouncer.kill()?;
        }
        self.postgres.kill()
    }
}

/// Starts a standby that refuses its clients, as one does that is still starting up.
pub(super) async fn standby_that_starts_up(
    place: &Place,
    primary: SocketAddr,
    certificate: &Certificate,
) -> anyhow::Result<Postgres> {
    Postgres::standby_that_starts_up(at_its_port(place), primary, &borrowed(&parameters(certificate))).await
}

fn at_its_port(place: &Place) -> Place {
    Place { address: (place.address.ip(), PORT).into(), network: place.network.clone() }
}

fn parameters(certificate: &Certificate) -> Vec<(&'static str, String)> {
    vec![
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", certificate.certificate().display().to_string()),
        ("ssl_key_file", certificate.key().display().to_string()),
        ("synchronous_standby_names", "ANY 1 (*)".to_owned()),
        ("max_connections", MAX_CONNECTIONS.to_string()),
    ]
}

fn borrowed<'a>(parameters: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
