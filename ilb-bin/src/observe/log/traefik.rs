//! The log of Traefik: pushes that fail, proofs that are lost, another program that writes to it, and the end of each.

use ilb_traefik_client::{Applied, Error};
use tokio::time::Instant;

use super::{
    super::insight::TraefikFacts,
    rival::{ANOTHER_PROGRAM, HELP_WITH_RIVAL, NO_OTHER_PROGRAM},
    trouble::Trouble,
};

/// State of Traefik as logged last.
#[derive(Debug)]
pub(super) struct TraefikLog {
    startup: Startup,
    failing: Trouble,
    unproved: Trouble,
    has_rival: bool,
    /// Replacements of the configuration by another program.
    rival: Trouble,
}

/// State of the start. If Traefik starts at the same time as ilb or later, the first attempts fail, which is not an error.
#[derive(Debug)]
enum Startup {
    /// No push has succeeded yet. Failed attempts are expected until this time, which the first of them sets: in a pod,
    /// Traefik is started when ilb knows its backends, and that is when the attempts begin.
    Waiting {
        until: Option<Instant>,
        attempts: u64,
    },
    Over,
}

impl TraefikLog {
    pub(super) fn new() -> Self {
        let startup = Startup::Waiting { until: None, attempts: 0 };
        let (failing, unproved, rival) = (Trouble::default(), Trouble::default(), Trouble::default());
        Self { startup, failing, unproved, has_rival: false, rival }
    }

    /// Takes in that a push is in force, and returns how many attempts had failed before it.
    pub(super) fn pushed(&mut self, applied: &Applied) -> u64 {
        let waited = std::mem::replace(&mut self.startup, Startup::Over).attempts();
        let (failing, unproved) = (self.failing.ended().unwrap_or_default(), self.unproved.ended().unwrap_or_default());
        let failed_attempts = failing.times + waited;
        // While there is a rival, each push is one of many.
        if (failing.is_logged || unproved.is_logged) && !self.has_rival {
            tracing::info!(
                revision = %applied.revision,
                took_ms = u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX),
                failed_attempts,
                traefik = %applied.version,
                "Traefik's configuration is verified again"
            );
        }
        failed_attempts
    }

    pub(super) fn push_failed(&mut self, error: &Error, now: Instant) {
        let kind = error.kind();
        if self.has_rival && matches!(error, Error::Overwritten(_)) {
            return self.proof_lost(error, now);
        }
        if let Startup::Waiting { until, attempts } = &mut self.startup
            && now < *until.get_or_insert(now + TraefikFacts::STARTUP_TIME)
            && TraefikFacts::is_of_start(error)
        {
            *attempts += 1;
            if *attempts == 1 {
                tracing::info!(%error, kind, "Waiting for Traefik");
            }
            return;
        }
        if self.failing.occurred(kind, &error, now) {
            tracing::error!(%error, kind, "Failed to update");
        }
    }

    pub(super) fn proof_lost(&mut self, error: &Error, now: Instant) {
        let kind = error.kind();
        // Everything else that happens during a fight is no work of the other program.
        if self.has_rival && matches!(error, Error::Overwritten(_)) {
            self.rival.occurred(kind, error, now);
        } else if self.unproved.occurred(kind, &error, now) {
            tracing::warn!(%error, kind, "Traefik's configuration is no longer verified: updating again");
        }
    }

    pub(super) fn rival_found(&mut self, now: Instant) {
        self.has_rival = true;
        if self.rival.occurred("overwritten", &"", now) {
            tracing::error!(help = HELP_WITH_RIVAL, "{ANOTHER_PROGRAM}");
        }
    }

    pub(super) fn rival_gone(&mut self) {
        self.has_rival = false;
        if self.rival.ended().is_some_and(|ended| ended.is_logged) {
            tracing::info!("{NO_OTHER_PROGRAM}");
        }
    }

    /// Logs the summaries that are due.
    pub(super) fn sum_up(&mut self, now: Instant) {
        for sum in self.failing.summaries(now) {
            let (error, kind, times, seconds, ongoing) = (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
            tracing::error!(error, kind, times, ongoing, "Failed to update: repeated {times} times in {seconds} s");
        }
        for sum in self.unproved.summaries(now) {
            let (error, kind, times, seconds, ongoing) = (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(
                error,
                kind,
                times,
                ongoing,
                "Traefik's configuration is no longer verified: repeated {times} times in {seconds} s"
            );
        }
        for sum in self.rival.summaries(now) {
            let (times, seconds, ongoing) = (sum.times, sum.seconds, sum.is_ongoing);
            tracing::error!(times, ongoing, "{ANOTHER_PROGRAM}: it has done so {times} times in {seconds} s");
        }
    }
}

impl Startup {
    fn attempts(&self) -> u64 {
        match self {
            Self::Waiting { attempts, .. } => *attempts,
            Self::Over => 0,
        }
    }
}
