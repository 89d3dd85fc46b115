mod apply;
mod borrowed_text;
mod build_error;
mod builder;
mod credentials;
mod echo;
mod http;
mod proof;
mod readback;
#[cfg(feature = "rustls")]
mod tls;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

pub use self::{
    build_error::{BuildError, InvalidUrl},
    builder::TraefikBuilder,
    credentials::Secret,
};
use self::{http::Http, proof::Seen, readback::Process};
use crate::{Applied, ConfigSink, Configuration, Error, Payload};

/// For so long it is believed that the same process answers, as long as it has what only that one was given.
const PROCESS_TRUSTED_FOR: Duration = Duration::from_secs(1);

/// One Traefik, programmed through its REST provider and read back through its API.
pub struct Traefik {
    http: Http,
    /// `None`: nobody has said.
    throttle: Option<Duration>,
    proof_within: Duration,
    /// The process that was seen last, and when that was.
    process: Mutex<Option<(Process, Instant)>>,
    seen: Mutex<Seen>,
}

impl Traefik {
    /// The Traefik at `url`: the URL of its REST provider, or the base URL that it is below. Without credentials.
    pub fn new(url: &str) -> Result<Self, BuildError> {
        Self::builder(url).build()
    }

    /// The same, with more to say.
    pub fn builder(url: &str) -> TraefikBuilder {
        TraefikBuilder::new(url)
    }

    /// Its host and port.
    pub fn label(&self) -> &str {
        self.http.label()
    }

    /// The host, which may be a name, and the port of its API.
    pub fn host_and_port(&self) -> (&str, u16) {
        let base = &self.http.base;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host, base.port_or_known_default().unwrap_or(80))
    }

    /// Keeps `configuration`, which `applied` proves, in force. Where an identical `PUT` costs Traefik nothing, which is
    /// without throttle, it is sent again, so that a loss is made good in the same call. Else it is only looked at, like
    /// [`verify`](ConfigSink::verify): with a throttle the `PUT` would delay the next change.
    pub async fn heartbeat(&self, configuration: &Configuration, applied: &Applied) -> Result<Applied, Error> {
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
        let called = Instant::now();
        self.apply_payload(configuration, &Payload::new(configuration), called).await
    }

    async fn verify(&self, applied: &Applied) -> Result<(), Error> {
        // What a process had is gone with it. So a revision that is there almost always means that the process is, too,
        // and only somebody else's push of the same revision makes another question worth while, which need not be soon.
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
        match (there, self.process().await?.start_date == applied.started) {
            (true, true) => Ok(()),
            (_, false) => Err(Error::Restarted),
            (false, true) => Err(Error::Overwritten(applied.revision.clone())),
        }
    }
}
