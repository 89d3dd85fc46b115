//! The events of the last day, as `/events` and the status show them.

use std::{net::SocketAddr, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::InstanceIdentity;
use crate::observe::insight::{
    Facts,
    event_log::LoggedEvent,
    numbers::age,
    words::{EventKind, Severity},
};

/// The document of `/events`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EventsDocument {
    /// Version of this form.
    pub(crate) schema: u32,
    pub(crate) instance: InstanceIdentity,
    /// Number of the newest event; 0 without any.
    pub(crate) newest: u64,
    /// The events of the last day, newest first, at most 2000.
    pub(crate) events: Vec<EventStatus>,
}

/// The last events, as part of the status.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct LastEvents {
    /// Number of the newest event; 0 without any.
    pub(crate) newest: u64,
    /// The last events, newest first.
    pub(crate) last: Vec<EventStatus>,
}

/// An event.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EventStatus {
    /// Number, which rises with time.
    pub(crate) number: u64,
    /// Number of the first occurrence, which stays when the same happens again.
    #[serde(default)]
    pub(crate) first_number: u64,
    /// Time of the last occurrence, by the clock of the machine: for display, since a clock may jump.
    pub(crate) time: String,
    pub(crate) age_seconds: f64,
    /// Number of occurrences, if the same happened again within minutes.
    pub(crate) times: u64,
    /// Age of the first of these.
    pub(crate) first_age_seconds: f64,
    pub(crate) kind: EventKind,
    pub(crate) severity: Severity,
    pub(crate) pool: Option<String>,
    pub(crate) backend: Option<SocketAddr>,
    pub(crate) pod: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) text: String,
}

/// Number of events in the status.
const MAX_LAST_EVENTS: usize = 10;

impl Facts {
    /// Returns all events.
    pub(crate) fn events(&self, now: Instant) -> EventsDocument {
        EventsDocument {
            schema: 1,
            instance: (*self.instance).clone(),
            newest: self.log.newest(),
            events: self.log.iter().map(|event| event.status(now)).collect(),
        }
    }

    /// Returns the last events.
    pub(super) fn last_events(&self, now: Instant) -> LastEvents {
        let last = self.log.iter().take(MAX_LAST_EVENTS).map(|event| event.status(now)).collect();
        LastEvents { newest: self.log.newest(), last }
    }
}

impl LoggedEvent {
    /// Returns the event as it is shown.
    pub(crate) fn status(&self, now: Instant) -> EventStatus {
        let draft = &self.draft;
        // In whole milliseconds, as ages are.
        let since_epoch = self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let time = i64::try_from(since_epoch).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        EventStatus {
            number: self.number,
            first_number: self.first_number,
            time: time.map(|time| time.to_string()).unwrap_or_default(),
            age_seconds: age(self.at, now),
            times: self.times,
            first_age_seconds: age(self.first, now),
            kind: draft.kind,
            severity: draft.severity,
            pool: draft.pool.as_deref().map(str::to_owned),
            backend: draft.backend,
            pod: draft.pod.as_ref().map(|pod| pod.name().to_owned()),
            node: draft.pod.as_ref().and_then(|pod| pod.node()).map(str::to_owned),
            text: draft.text.clone(),
        }
    }
}
