use std::time::Duration;

use tokio::time::Instant;

use super::{
    Traefik, echo,
    readback::{Process, Revisions, Snapshot},
};
use crate::{Applied, Configuration, Error, Payload, Revision};

const REST: &str = "api/providers/rest";

/// Of an answer whose length does not depend on what was sent.
const SMALL: usize = 64 * 1024;

/// Of an answer that holds what other providers have configured, too.
const LARGE: usize = 16 * 1024 * 1024;

/// As long as a read-back usually takes: before that a pause would cost more than another question.
const NO_PAUSE_FOR: Duration = Duration::from_millis(2);

/// From here on the wait is worth a word, and what is in force instead is worth a look.
const LONG_WAIT: Duration = Duration::from_millis(500);

impl Traefik {
    pub(crate) async fn apply_payload(
        &self,
        configuration: &Configuration,
        payload: &Payload,
    ) -> Result<Applied, Error> {
        let called = Instant::now();
        let revision = payload.revision();
        // Which process is asked before and after: the same one both times had the revision in between.
        let (before, echo) = tokio::try_join!(self.process(), self.put(payload))?;
        let accepted = Instant::now();
        let dropped = echo::dropped(payload.bytes(), &echo)?;
        if !dropped.is_empty() {
            return Err(Error::Dropped { keys: dropped, version: before.version });
        }
        self.wait_for(revision, &before, accepted).await?;
        let waited = accepted.elapsed();
        let body = self.http.get("api/rawdata", "GET /api/rawdata", LARGE + 8 * payload.bytes().len()).await?;
        Snapshot::parse(&body)?.check(configuration, revision, &before)?;
        let after = self.process().await?;
        if before.start_date != after.start_date {
            return Err(Error::Restarted);
        }
        let took = called.elapsed();
        tracing::debug!(traefik = self.label(), %revision, ?took, ?waited, "configuration proved in force");
        let mut applied = Applied::new(revision.clone(), after.start_date, after.version, took);
        self.label().clone_into(&mut applied.instance);
        applied.waited = waited;
        Ok(applied)
    }

    pub(super) async fn has(&self, revision: &Revision) -> Result<bool, Error> {
        let path = format!("api/tcp/services/{}@rest", revision.name());
        match self.http.get(&path, "the revision", SMALL).await {
            Ok(_) => Ok(true),
            Err(Error::NotReady(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn process(&self) -> Result<Process, Error> {
        Process::parse(&self.http.get("api/version", "GET /api/version", SMALL).await?)
    }

    async fn put(&self, payload: &Payload) -> Result<Vec<u8>, Error> {
        self.http.put(REST, "configuration", payload.bytes(), SMALL + 2 * payload.bytes().len()).await
    }

    /// Waits until `revision` is in force in the process `before`.
    async fn wait_for(&self, revision: &Revision, before: &Process, accepted: Instant) -> Result<(), Error> {
        let mut instead = None;
        while !self.has(revision).await? {
            let waited = accepted.elapsed();
            if waited >= self.proof_within {
                return Err(self.diagnosis(revision, waited, instead.as_ref()).await?);
            }
            if waited >= LONG_WAIT && instead.is_none() {
                tracing::info!(
                    traefik = self.label(), %revision, ?waited, throttle = ?self.throttle,
                    "Traefik has accepted the configuration and not put it in force yet: waiting for its throttle"
                );
                instead = Some(self.revisions().await?);
            }
            if instead.is_some() && self.process().await?.start_date != before.start_date {
                return Err(Error::Restarted);
            }
            tokio::time::sleep(pause_after(waited)).await;
        }
        Ok(())
    }

    /// Why the revision did not appear, by what has been in force `instead` in the meantime.
    async fn diagnosis(
        &self,
        revision: &Revision,
        waited: Duration,
        instead: Option<&Revisions>,
    ) -> Result<Error, Error> {
        let now = self.revisions().await?;
        Ok(match instead {
            Some(instead) if *instead != now => Error::Overwritten(revision.clone()),
            // Only what was looked at twice can be said not to have changed.
            _ => Error::NotApplied { revision: revision.clone(), waited, looks_dead: instead.is_some() },
        })
    }

    /// The markers that are in force now: this client's own, or another one's.
    async fn revisions(&self) -> Result<Revisions, Error> {
        let body = self.http.get("api/tcp/services?search=rev-", "the revisions", LARGE).await?;
        Revisions::parse(&body)
    }
}

/// Overshoots by an eighth of the wait, at most by 50 ms.
fn pause_after(waited: Duration) -> Duration {
    if waited < NO_PAUSE_FOR { Duration::ZERO } else { (waited / 8).min(Duration::from_millis(50)) }
}
