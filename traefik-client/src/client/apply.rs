use std::{sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{
    Traefik, echo,
    http::{MAX_FIXED_RESPONSE_BYTES, MAX_LISTING_BYTES, REST_PROVIDER_PATH},
    proof::{self, Fact},
    readback::{Process, Revisions},
};
use crate::{Applied, Configuration, Error, Payload, Revision};

/// As long as a small configuration takes: before that a pause would cost more than another question.
const NO_PAUSE_BEFORE: Duration = Duration::from_millis(2);

/// From here on the wait is worth a word, and what is in force instead is worth a look.
const LONG_WAIT_AFTER: Duration = Duration::from_millis(500);

impl Traefik {
    pub(crate) async fn apply_payload(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        called: Instant,
    ) -> Result<Applied, Error> {
        let revision = payload.revision();
        // The process that was there before, by the last answer: a question less in each apply but the first.
        let mut process = match self.known_process() {
            Some(process) => process,
            None => self.process().await?,
        };
        // What is to be proved is worked out while Traefik is busy with the request.
        let facts = async {
            tokio::task::yield_now().await;
            Ok(proof::facts(configuration))
        };
        let sent = Instant::now();
        let (echo, facts) = tokio::try_join!(self.put(payload), facts)?;
        let accepted = Instant::now();
        let dropped = echo::dropped(payload.bytes(), &echo)?;
        if !dropped.is_empty() {
            return Err(Error::Dropped { keys: dropped, version: self.process().await?.version });
        }
        self.wait_for(revision, &process, sent, accepted).await?;
        let waited = accepted.elapsed();
        if let Some(other) = self.confirm(configuration, payload, &facts, &process).await? {
            // It has restarted, before this call or in it. Which of the two had the revision? The one that runs now has
            // to have it, from beginning to end of one more look.
            process = other;
            if self.confirm(configuration, payload, &facts, &process).await?.is_some() {
                return Err(Error::Restarted);
            }
        }
        let took = called.elapsed();
        tracing::debug!(traefik = self.label(), %revision, ?took, ?waited, "configuration proved in force");
        let mut applied = Applied::new(revision.clone(), process.start_date, process.version, took);
        self.label().clone_into(&mut applied.instance);
        applied.waited = waited;
        Ok(applied)
    }

    /// Proves the configuration, whose revision has been seen, in force in `process`; or says which one runs instead and
    /// has the revision, too.
    async fn confirm(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        facts: &[Fact<'_>],
        process: &Process,
    ) -> Result<Option<Process>, Error> {
        let outcome = tokio::try_join!(self.process(), self.prove(configuration, payload, facts, process));
        let (now, lost) = match outcome {
            Ok((now, ())) => (now, None),
            // What is missing may be missing because all is.
            Err(error @ Error::Overwritten(_)) => (self.process().await?, Some(error)),
            Err(error) => return Err(error),
        };
        match lost {
            None if now.start_date == process.start_date => Ok(None),
            Some(error) if now.start_date == process.start_date => Err(error),
            _ if self.has(payload.revision()).await? => Ok(Some(now)),
            _ => Err(Error::Restarted),
        }
    }

    pub(super) async fn has(&self, revision: &Revision) -> Result<bool, Error> {
        let path = format!("api/tcp/services/{}@rest", revision.name());
        match self.http.get(&path, "the revision", MAX_FIXED_RESPONSE_BYTES).await {
            Ok(_) => Ok(true),
            Err(Error::NotReady(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn process(&self) -> Result<Process, Error> {
        let process =
            Process::parse(&self.http.get("api/version", "GET /api/version", MAX_FIXED_RESPONSE_BYTES).await?)?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some((process.clone(), Instant::now()));
        Ok(process)
    }

    /// The process that was seen last.
    fn known_process(&self) -> Option<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(process, _)| process.clone())
    }

    async fn put(&self, payload: &Payload) -> Result<Vec<u8>, Error> {
        self.http
            .put(
                REST_PROVIDER_PATH,
                "configuration",
                payload.bytes(),
                MAX_FIXED_RESPONSE_BYTES + 2 * payload.bytes().len(),
            )
            .await
    }

    /// Waits until `revision` is in force, in a process that may not be `before` if it is not for long.
    async fn wait_for(
        &self,
        revision: &Revision,
        before: &Process,
        sent: Instant,
        accepted: Instant,
    ) -> Result<(), Error> {
        let mut instead = None;
        while !self.has(revision).await? {
            let waited = accepted.elapsed();
            if waited >= self.proof_within {
                return Err(self.diagnosis(revision, waited, instead.as_ref()).await?);
            }
            if waited >= LONG_WAIT_AFTER && instead.is_none() {
                tracing::info!(
                    traefik = self.label(), %revision, ?waited, throttle = ?self.throttle,
                    "Traefik has accepted the configuration and not put it in force yet: waiting for its throttle"
                );
                instead = Some(self.revisions().await?);
            }
            if instead.is_some() && self.process().await?.start_date != before.start_date {
                return Err(Error::Restarted);
            }
            pause(pause_after(sent.elapsed())).await;
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
        let body = self.http.get("api/tcp/services?search=rev-", "the revisions", MAX_LISTING_BYTES).await?;
        Revisions::parse(&body)
    }
}

/// Overshoots by a thirty-second of the time since Traefik was sent the configuration, which grows with the configuration
/// as its work does; at least by 0.2 ms and at most by 50 ms.
fn pause_after(since_sent: Duration) -> Duration {
    let (shortest, longest) = (Duration::from_micros(200), Duration::from_millis(50));
    if since_sent < NO_PAUSE_BEFORE { Duration::ZERO } else { (since_sent / 32).clamp(shortest, longest) }
}

/// Tokio's timers go by milliseconds, of which two are as long as Traefik takes for a small configuration: what is
/// shorter is slept on a thread beside.
async fn pause(duration: Duration) {
    const TIMER_RESOLUTION: Duration = Duration::from_millis(4);
    if duration.is_zero() {
        return;
    }
    let fine =
        duration < TIMER_RESOLUTION && tokio::task::spawn_blocking(move || std::thread::sleep(duration)).await.is_ok();
    if !fine {
        tokio::time::sleep(duration).await;
    }
}
