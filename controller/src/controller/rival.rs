//! The loop's part in finding that another client configures the same Traefik.

use ilb_traefik_client::Error;
use tokio::time::Instant;

use super::Controller;
use crate::event::{Event, Observer};

impl Controller {
    /// Takes in a failure, which may mean that another client has replaced the configuration.
    pub(super) fn note_replacement(&mut self, error: &Error, now: Instant) {
        if matches!(error, Error::Overwritten(_)) {
            if let Some(moment) = self.rivalry.replaced(now.into_std()) {
                self.pushes.hold_until(moment);
            }
            self.report_rival(now);
        }
    }

    /// Reports a rival that was found, or that is gone.
    pub(super) fn report_rival(&mut self, now: Instant) {
        let has_rival = self.rivalry.has_rival(now.into_std());
        if std::mem::replace(&mut self.has_rival, has_rival) != has_rival {
            self.observers.on(if has_rival { &Event::RivalFound } else { &Event::RivalGone });
        }
    }
}
