//! Client of one Traefik: programs its REST provider and reads back its API.

mod apply;
mod borrowed_text;
mod build_error;
mod builder;
mod credentials;
mod echo;
mod entry_points;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod pools;
mod proof;
mod reach;
mod readback;
mod survey;
#[cfg(feature = "rustls")]
mod tls;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

pub use self::{
    build_error::{BuildError, InvalidUrl},
    builder::TraefikBuilder,
    credentials::Secret,
    entry_points::EntryPoint,
    survey::Survey,
};
use self::{
    entry_points::EntryPoints,
    http::{Http, MAX_LISTING_BYTES},
    proof::Prover,
    readback::Process,
};
use crate::{Applied, ConfigSink, Configuration, Error, Member, Name, Revision, process::StartDate};

/// Time for which a confirmed process identity is trusted before `/api/version` is asked again. The presence of the
/// revision already implies the same process, so this need not be short.
const PROCESS_TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Number of revisions that are remembered, to tell an own configuration that comes into force late from that of another
/// client.
const MAX_REMEMBERED_REVISIONS: usize = 8;

/// Client of one Traefik, programmed through its REST provider and read back through its API.
pub struct Traefik {
    http: Http,
    /// Value of `providersThrottleDuration`; `None` if unknown.
    throttle: Option<Duration>,
    proof_within: Duration,
    /// Process that answered last, and the time of that answer.
    process: Mutex<Option<(Process, Instant)>>,
    /// Entry points of the process that was configured last, or `None` if it does not tell them.
    entry_points: Mutex<Option<(StartDate, Option<EntryPoints>)>>,
    prover: Prover,
    /// The last [`MAX_REMEMBERED_REVISIONS`] revisions that were sent, oldest first.
    sent: Mutex<VecDeque<Revision>>,
}

impl Traefik {
    /// Creates a client for the Traefik at `url`, which is the URL of its REST provider or the base URL of its API,
    /// without credentials.
    pub fn try_new(url: &str) -> Result<Self, BuildError> {
        Self::builder(url).build()
    }

    /// Creates a client with settings such as credentials.
    pub fn builder(url: &str) -> TraefikBuilder {
        TraefikBuilder::new(url)
    }

    /// Returns host and port, as they appear in logs.
    pub fn label(&self) -> &str {
        self.http.label()
    }

    /// Returns the host, which may be a name, and the port of the API.
    pub fn host_and_port(&self) -> (&str, u16) {
        let base = &self.http.base;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host, base.port_or_known_default().unwrap_or(80))
    }

    /// Returns the entry point for TCP with this name that the process has that was configured last. `None` as long as none
    /// was, if there is none with this name, and if Traefik does not list its entry points.
    pub fn entry_point(&self, name: &str) -> Option<EntryPoint> {
        let known = self.entry_points.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.1.as_ref()?.get(name)
    }

    /// Keeps `configuration`, which `applied` proves, in force.
    ///
    /// Without throttle an identical `PUT` costs Traefik nothing, so it is sent again, and a loss is repaired in the same
    /// call. With a throttle the `PUT` would delay the next change, so the proof is only checked, as by
    /// [`verify`](ConfigSink::verify).
    pub async fn keep_in_force(&self, configuration: &Configuration, applied: &Applied) -> Result<Applied, Error> {
        if self.throttle == Some(Duration::ZERO) {
            self.apply(configuration).await
        } else {
            self.verify(applied).await.map(|()| applied.clone())
        }
    }
}

#[async_trait]
impl ConfigSink for Traefik {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        match self.apply_fitting(configuration, Instant::now()).await {
            Err(error) => Err(self.explain(error).await),
            applied => applied,
        }
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        // A process that exits loses its configuration. So a revision that is present nearly always means the same
        // process; the exception is another client that pushed the same revision to a new process. That one is found by
        // asking for the process, which may be done seldom.
        let asked_lately = {
            let known = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .as_ref()
                .is_some_and(|(known, at)| known.start_date == applied.started && at.elapsed() < PROCESS_TRUSTED_FOR)
        };
        let there = self.has(&applied.revision).await?;
        if there && asked_lately {
            return Ok(());
        }
        match (there, self.request_process().await?.start_date == applied.started) {
            (true, true) => Ok(()),
            (_, false) => Err(Error::Restarted),
            (false, true) => Err(self.explain(Error::Overwritten(applied.revision.clone())).await),
        }
    }

    async fn pools_in_force(&self) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
        pools::parse(&self.http.get("api/rawdata", "GET /api/rawdata", MAX_LISTING_BYTES).await?)
    }
}

/// Shows neither the URL nor the credentials.
impl fmt::Debug for Traefik {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traefik")
            .field("label", &self.label())
            .field("throttle", &self.throttle)
            .finish_non_exhaustive()
    }
}
