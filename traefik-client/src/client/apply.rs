//! Sending of a configuration, and waiting until it is proved in force.

use std::{sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{
    Traefik, echo,
    http::{MAX_FIXED_RESPONSE_BYTES, MAX_LISTING_BYTES, REST_PROVIDER_PATH},
    proof::{self, Fact},
    readback::{Process, Revisions},
};
use crate::{Applied, Configuration, Error, Revision, payload::Payload};

/// Time in which Traefik puts a small configuration in force. In this time a pause would cost more than another request.
const NO_PAUSE_BEFORE: Duration = Duration::from_millis(2);

/// Time after which the wait is logged, and the revisions in force are read.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// Process that runs at the end of a proof.
enum Confirmation {
    /// The process that was asked before still runs.
    Same,
    /// Another process runs now and has the revision, too.
    Other(Process),
}

impl Traefik {
    pub(crate) async fn apply_payload(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        called: Instant,
    ) -> Result<Applied, Error> {
        let revision = payload.revision();
        // The process known from the last response saves a request in each call but the first.
        let mut process = match self.known_process() {
            Some(process) => process,
            None => self.request_process().await?,
        };
        // The facts to prove are worked out while Traefik handles the request.
        let facts = async {
            tokio::task::yield_now().await;
            Ok(proof::facts(configuration))
        };
        let sent = Instant::now();
        let (echo, facts) = tokio::try_join!(self.put(payload), facts)?;
        let accepted = Instant::now();
        let dropped = echo::dropped(payload.bytes(), &echo)?;
        if !dropped.is_empty() {
            return Err(Error::Dropped { keys: dropped, version: self.request_process().await?.version });
        }
        self.wait_for(revision, &process, sent, accepted).await?;
        let waited = accepted.elapsed();
        if let Confirmation::Other(other) = self.confirm(configuration, payload, &facts, &process).await? {
            // Traefik has restarted, before this call or during it. It is unknown which of the two processes had the
            // revision, so the present one has to prove it from the beginning to the end of another look.
            process = other;
            if let Confirmation::Other(_) = self.confirm(configuration, payload, &facts, &process).await? {
                return Err(Error::Restarted);
            }
        }
        let took = called.elapsed();
        tracing::debug!(traefik = self.label(), %revision, ?took, ?waited, "configuration proved in force");
        let mut applied = Applied::new(revision.clone(), process.start_date, process.version, took);
        applied.instance = Some(self.label().to_owned());
        applied.waited = waited;
        Ok(applied)
    }

    /// Proves that the configuration, whose revision has been seen, is in force in `process`, unless another process with
    /// the revision runs instead.
    async fn confirm(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        facts: &[Fact<'_>],
        process: &Process,
    ) -> Result<Confirmation, Error> {
        let outcome = tokio::try_join!(
            self.request_process(),
            self.prover.prove(&self.http, configuration, payload, facts, process)
        );
        let (now, lost) = match outcome {
            Ok((now, ())) => (now, None),
            // A single item may be missing because a restart has lost all of them.
            Err(error @ Error::Overwritten(_)) => (self.request_process().await?, Some(error)),
            Err(error) => return Err(error),
        };
        match lost {
            None if now.start_date == process.start_date => Ok(Confirmation::Same),
            Some(error) if now.start_date == process.start_date => Err(error),
            _ if self.has(payload.revision()).await? => Ok(Confirmation::Other(now)),
            _ => Err(Error::Restarted),
        }
    }

    /// Returns whether `revision` is in force.
    pub(super) async fn has(&self, revision: &Revision) -> Result<bool, Error> {
        let path = format!("api/tcp/services/{}@rest", revision.name());
        match self.http.get(&path, "the revision", MAX_FIXED_RESPONSE_BYTES).await {
            Ok(_) => Ok(true),
            Err(Error::NotReady(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Requests the process that runs, and remembers the answer.
    pub(super) async fn request_process(&self) -> Result<Process, Error> {
        let body = self.http.get("api/version", "GET /api/version", MAX_FIXED_RESPONSE_BYTES).await?;
        let process = Process::parse(&body)?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some((process.clone(), Instant::now()));
        Ok(process)
    }

    /// Returns the process that answered last.
    fn known_process(&self) -> Option<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(process, _)| process.clone())
    }

    /// Sends the configuration and returns Traefik's echo of it.
    async fn put(&self, payload: &Payload) -> Result<Vec<u8>, Error> {
        let max_bytes = MAX_FIXED_RESPONSE_BYTES + 2 * payload.bytes().len();
        self.http.put(REST_PROVIDER_PATH, "configuration", payload.bytes(), max_bytes).await
    }

    /// Waits until `revision` is in force. Fails as soon as a long wait shows that the process is not `before` any more.
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
                return Err(self.diagnose(revision, waited, instead.as_ref()).await?);
            }
            if waited >= LONG_WAIT && instead.is_none() {
                tracing::info!(
                    traefik = self.label(), %revision, ?waited, throttle = ?self.throttle,
                    "Traefik has accepted the configuration and not put it in force yet: waiting for its throttle"
                );
                instead = Some(self.request_revisions().await?);
            }
            if instead.is_some() && self.request_process().await?.start_date != before.start_date {
                return Err(Error::Restarted);
            }
            pause(pause_after(sent.elapsed())).await;
        }
        Ok(())
    }

    /// Returns the reason why the revision did not appear, by comparing the revisions that were in force `instead` with
    /// those in force now.
    async fn diagnose(
        &self,
        revision: &Revision,
        waited: Duration,
        instead: Option<&Revisions>,
    ) -> Result<Error, Error> {
        let now = self.request_revisions().await?;
        Ok(match instead {
            Some(instead) if *instead != now => Error::Overwritten(revision.clone()),
            // Nothing can be concluded without an earlier look to compare with.
            _ => Error::NotApplied { revision: revision.clone(), waited, looks_dead: instead.is_some() },
        })
    }

    /// Requests the revisions in force, whichever client has sent them.
    async fn request_revisions(&self) -> Result<Revisions, Error> {
        let body = self.http.get("api/tcp/services?search=rev-", "the revisions", MAX_LISTING_BYTES).await?;
        Revisions::parse(&body)
    }
}

/// Returns the pause before the next look, which delays the proof by a thirty-second of the time since Traefik was sent
/// the configuration. That time grows with the configuration, as Traefik's work does. At least 0.2 ms, at most 50 ms.
fn pause_after(since_sent: Duration) -> Duration {
    let (shortest, longest) = (Duration::from_micros(200), Duration::from_millis(50));
    if since_sent < NO_PAUSE_BEFORE { Duration::ZERO } else { (since_sent / 32).clamp(shortest, longest) }
}

/// Sleeps; on a separate thread if the pause is short, since the timers of Tokio have a resolution of 1 ms and Traefik
/// takes only two for a small configuration.
async fn pause(duration: Duration) {
    const MIN_TIMER_PAUSE: Duration = Duration::from_millis(4);
    if duration.is_zero() {
        return;
    }
    let is_short = duration < MIN_TIMER_PAUSE;
    let slept = is_short && tokio::task::spawn_blocking(move || std::thread::sleep(duration)).await.is_ok();
    if !slept {
        tokio::time::sleep(duration).await;
    }
}
