//! Sending of a configuration, and waiting until it is proved in force.

use std::{borrow::Cow, collections::BTreeMap, sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{
    MAX_REMEMBERED_REVISIONS, Traefik, echo,
    entry_points::EntryPoints,
    http::{MAX_FIXED_RESPONSE_BYTES, MAX_LISTING_BYTES, REST_PROVIDER_PATH},
    proof::{self, Fact},
    reach::{routers_of, transport_of},
    readback::{Process, Revisions},
};
use crate::{Applied, Configuration, Error, Name, Revision, payload::Payload, process::Version};

/// Time in which Traefik puts a small configuration in force. In this time a pause would cost more than another request.
const NO_PAUSE_BEFORE: Duration = Duration::from_millis(2);

/// Time after which the wait is logged, and the revisions in force are read.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// Maximum number of dropped keys that an error names.
const MAX_NAMED_KEYS: usize = 5;

/// TCP routers that are not in force as configured, each with the reason.
type Faults = BTreeMap<Name, Error>;

/// Process that runs at the end of a proof.
enum Confirmation {
    /// The process that was asked before still runs.
    Same(Faults),
    /// Another process runs now and has the revision, too.
    Other(Process),
}

/// The proof of a configuration.
struct Proved {
    process: Process,
    faults: Faults,
    /// Time from Traefik's acceptance of the configuration to its being in force.
    waited: Duration,
}

impl Traefik {
    /// Applies the part of `configuration` that fits the entry points of the process, and proves it.
    pub(super) async fn apply_fitting(&self, configuration: &Configuration, called: Instant) -> Result<Applied, Error> {
        // The process known from the last response saves a request in each call but the first.
        let process = match self.known_process() {
            Some(process) => process,
            None => self.request_process().await?,
        };
        let entry_points = self.entry_points(&process).await?;
        let (fitting, missing) = match &entry_points {
            Some(entry_points) => entry_points.fit(configuration),
            None => (Cow::Borrowed(configuration), Faults::new()),
        };
        let payload = Payload::new(&fitting);
        let proved = self.apply_payload(&fitting, &payload, process, entry_points.as_ref()).await?;
        let Proved { process, mut faults, waited } = proved;
        faults.extend(missing);
        let has_all_faults = faults.len() == configuration.tcp.routers.len() && configuration.udp.routers.is_empty();
        if has_all_faults && !faults.is_empty() {
            return Err(Error::none_in_force(faults));
        }
        let (revision, took) = (payload.revision(), called.elapsed());
        tracing::debug!(traefik = self.label(), %revision, ?took, ?waited, "configuration proved in force");
        let mut applied = Applied::new(revision.clone(), process.start_date, process.version, took);
        (applied.instance, applied.faults, applied.waited) = (Some(self.label().to_owned()), faults, waited);
        Ok(applied)
    }

    async fn apply_payload(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        mut process: Process,
        entry_points: Option<&EntryPoints>,
    ) -> Result<Proved, Error> {
        let revision = payload.revision();
        // The facts to prove are worked out while Traefik handles the request.
        let facts = async {
            tokio::task::yield_now().await;
            Ok(proof::facts(configuration))
        };
        let sent = Instant::now();
        let (echo, facts) = tokio::try_join!(self.put(payload), facts)?;
        let accepted = Instant::now();
        let dropped = echo::dropped(payload.bytes(), &echo)?;
        let dropped = if dropped.is_empty() {
            Faults::new()
        } else {
            faults_of(configuration, &dropped, &self.request_process().await?.version)?
        };
        self.wait_for(revision, &process, sent, accepted).await?;
        let waited = accepted.elapsed();
        let mut confirmation = self.confirm(configuration, payload, &facts, &process).await?;
        if let Confirmation::Other(other) = confirmation {
            // Traefik has restarted, before this call or during it. It is unknown which of the two processes had the
            // revision, so the present one has to prove it from the beginning to the end of another look. What fitted the
            // entry points of the former may not fit those of the present one.
            process = other;
            if self.entry_points(&process).await?.as_ref() != entry_points {
                return Err(Error::Restarted);
            }
            confirmation = self.confirm(configuration, payload, &facts, &process).await?;
        }
        let Confirmation::Same(mut faults) = confirmation else { return Err(Error::Restarted) };
        faults.extend(dropped);
        Ok(Proved { process, faults, waited })
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
        let proof = self.prover.prove(&self.http, configuration, payload, facts, process);
        let (now, faults) = match tokio::try_join!(self.request_process(), async { Ok::<_, Error>(proof.await) })? {
            (now, Ok(faults)) if faults.is_empty() => (now, Ok(faults)),
            // Items may be missing because a restart, or another client, has removed all of them.
            (_, Ok(faults)) => {
                let now = self.request_process().await?;
                let there = self.has(payload.revision()).await?;
                (now, if there { Ok(faults) } else { Err(Error::Overwritten(payload.revision().clone())) })
            }
            (_, Err(error @ (Error::Overwritten(_) | Error::ServersDiffer { .. }))) => {
                let now = self.request_process().await?;
                let there = matches!(error, Error::ServersDiffer { .. }) && self.has(payload.revision()).await?;
                (now, Err(if there { error } else { Error::Overwritten(payload.revision().clone()) }))
            }
            (_, Err(error)) => return Err(error),
        };
        match faults {
            Ok(faults) if now.start_date == process.start_date => Ok(Confirmation::Same(faults)),
            Err(error) if now.start_date == process.start_date => Err(error),
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

    /// Returns the entry points of `process`, which are requested once; `None` if Traefik does not tell them.
    pub(super) async fn entry_points(&self, process: &Process) -> Result<Option<EntryPoints>, Error> {
        let known = self.entry_points.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, entry_points)) = known.filter(|(started, _)| *started == process.start_date) {
            return Ok(entry_points);
        }
        let listed = self.http.get("api/entrypoints", "GET /api/entrypoints", MAX_LISTING_BYTES).await;
        let entry_points = match listed.and_then(|body| EntryPoints::parse(&body)) {
            Ok(entry_points) => Some(entry_points),
            Err(error @ Error::Unreachable { .. }) => return Err(error),
            // Without them the routers that Traefik disables are found after the push.
            Err(error) => {
                tracing::info!(traefik = self.label(), %error, "the entry points of Traefik cannot be read");
                None
            }
        };
        let known = Some((process.start_date.clone(), entry_points.clone()));
        *self.entry_points.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(entry_points)
    }

    /// Returns the process that answered last.
    fn known_process(&self) -> Option<Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(process, _)| process.clone())
    }

    /// Sends the configuration and returns Traefik's echo of it.
    async fn put(&self, payload: &Payload) -> Result<Vec<u8>, Error> {
        self.remember(payload.revision());
        let max_bytes = MAX_FIXED_RESPONSE_BYTES + 2 * payload.bytes().len();
        self.http.put(REST_PROVIDER_PATH, "configuration", payload.bytes(), max_bytes).await
    }

    fn remember(&self, revision: &Revision) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|earlier| earlier != revision);
        sent.push_back(revision.clone());
        if sent.len() > MAX_REMEMBERED_REVISIONS {
            sent.pop_front();
        }
    }

    /// Returns `error`, or the better one if it was not another client that has replaced the configuration.
    pub(super) async fn explain(&self, error: Error) -> Error {
        let Error::Overwritten(revision) = &error else { return error };
        let Ok(in_force) = self.request_revisions().await else { return error };
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match sent.iter().find(|earlier| *earlier != revision && in_force.contain(earlier)) {
            Some(instead) => Error::Outdated { revision: revision.clone(), instead: instead.clone() },
            None => error,
        }
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

/// Returns the faults of the routers that need what Traefik has dropped; an error if no router needs it.
fn faults_of(configuration: &Configuration, dropped: &[echo::Key], version: &Version) -> Result<Faults, Error> {
    let error = |keys: Vec<String>| Error::Dropped { keys, version: version.clone() };
    let (mut by_router, mut others) = (BTreeMap::<&Name, Vec<String>>::new(), Vec::new());
    for key in dropped {
        let routers = key.item().map_or_else(Vec::new, |(kind, name)| routers_with(configuration, kind, name));
        if routers.is_empty() {
            others.push(key.to_string());
        }
        for router in routers {
            by_router.entry(router).or_default().push(key.to_string());
        }
    }
    others.truncate(MAX_NAMED_KEYS);
    if !others.is_empty() {
        return Err(error(others));
    }
    for keys in by_router.values_mut() {
        keys.truncate(MAX_NAMED_KEYS);
    }
    Ok(by_router.into_iter().map(|(router, keys)| (router.clone(), error(keys))).collect())
}

/// Returns the routers that need the item `name` of the kind that the configuration lists it under.
fn routers_with<'a>(configuration: &'a Configuration, kind: &str, name: &str) -> Vec<&'a Name> {
    let tcp = &configuration.tcp;
    match kind {
        "routers" => tcp.routers.keys().filter(|router| router.as_str() == name).collect(),
        "services" => routers_of(configuration, |service, _| service.as_str() == name).collect(),
        "serversTransports" => {
            let uses = |transport: Option<&Name>| transport.is_some_and(|transport| transport.as_str() == name);
            routers_of(configuration, |_, service| uses(transport_of(service))).collect()
        }
        "middlewares" => {
            let passes =
                tcp.routers.iter().filter(|(_, router)| router.middlewares().iter().any(|m| m.as_str() == name));
            passes.map(|(router, _)| router).collect()
        }
        _ => Vec::new(),
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
