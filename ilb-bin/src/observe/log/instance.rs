//! The log of one Traefik of a fleet.

use ilb_traefik_client::{Error, fleet::InstanceState};
use tokio::time::Instant;

use super::{
    rival::{ANOTHER_PROGRAM, HELP_WITH_RIVAL, NO_OTHER_PROGRAM},
    trouble::Trouble,
};

/// State of one Traefik of a fleet as logged last.
#[derive(Debug)]
pub(super) struct InstanceLog {
    /// Host and port.
    traefik: String,
    is_failing: bool,
    failing: Trouble,
    has_rival: bool,
    rival: Trouble,
}

/// Returns `true` if this is what another program that writes brings about.
fn is_of_rival(error: &Error) -> bool {
    matches!(error, Error::Overwritten(_))
}

impl InstanceLog {
    pub(super) fn new(traefik: &str) -> Self {
        let (failing, rival) = (Trouble::default(), Trouble::default());
        Self { traefik: traefik.to_owned(), is_failing: false, failing, has_rival: false, rival }
    }

    pub(super) fn changed(&mut self, state: &InstanceState, now: Instant) {
        let (traefik, error) = (&self.traefik, state.error.as_ref());
        match (std::mem::replace(&mut self.has_rival, state.has_rival), state.has_rival) {
            (false, true) if self.rival.occurred("overwritten", &"", now) => {
                tracing::error!(traefik, help = HELP_WITH_RIVAL, "{ANOTHER_PROGRAM}");
            }
            (true, false) if self.rival.ended().is_some_and(|ended| ended.is_logged) => {
                tracing::info!(traefik, "{NO_OTHER_PROGRAM}");
            }
            // While there is a rival, the configuration is lost and active again and again.
            (true, true) if error.map_or(!self.is_failing, is_of_rival) => return,
            _ => {}
        }
        let error = error.filter(|error| !(state.has_rival && is_of_rival(error)));
        match (std::mem::replace(&mut self.is_failing, error.is_some()), error) {
            (_, Some(error)) if self.failing.occurred(error.kind(), error, now) => {
                tracing::warn!(traefik, %error, kind = error.kind(), "A Traefik does not have the configuration");
            }
            (true, None) if self.failing.ended().is_some_and(|ended| ended.is_logged) => {
                tracing::info!(traefik, "A Traefik has the configuration again");
            }
            _ => {}
        }
    }

    /// Logs the summaries that are due.
    pub(super) fn sum_up(&mut self, now: Instant) {
        let traefik = &self.traefik;
        for sum in self.failing.summaries(now) {
            let (error, kind, times, seconds, ongoing) = (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(
                traefik,
                error,
                kind,
                times,
                ongoing,
                "A Traefik does not have the configuration: repeated {times} times in {seconds} s"
            );
        }
        for sum in self.rival.summaries(now) {
            let (times, seconds, ongoing) = (sum.times, sum.seconds, sum.is_ongoing);
            tracing::error!(traefik, times, ongoing, "{ANOTHER_PROGRAM}: repeated {times} times in {seconds} s");
        }
    }
}
