//! The clock of the API server, as its responses show it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, header};

/// The clock of the API server. Clones share it.
///
/// Objects have dates by that clock, which may differ from the one of this host. Each response has the date at which it was
/// sent, so the time between both is known without the clock of this host, to a second: that is how exact both dates are.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerClock(Arc<Mutex<Option<Reading>>>);

/// A date of the server, and the moment at which it was read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    date: SystemTime,
    at: Instant,
}

impl ServerClock {
    /// Takes in the headers of a response that has just arrived.
    pub(super) fn read(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
        if let Some(date) = date {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reading { date, at: now() });
        }
    }

    /// Returns the moment at which the clock of the server shows this date. As long as no response had a date, the clock of
    /// this host stands in for it.
    pub(super) fn moment_of(&self, date: SystemTime) -> Instant {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Reading { date: known, at } = reading.unwrap_or_else(|| Reading { date: own_date(), at: now() });
        match date.duration_since(known) {
            // A date beyond all clocks is as good as one that is far away.
            Ok(later) => at.checked_add(later).unwrap_or_else(|| at + Duration::from_secs(365 * 24 * 3600)),
            Err(earlier) => at.checked_sub(earlier.duration()).unwrap_or(at),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing else is known as long as no response had a date")]
fn own_date() -> SystemTime {
    SystemTime::now()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(date: &'static str) -> HeaderMap {
        [(header::DATE, HeaderValue::from_static(date))].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_is_a_moment_by_the_clock_of_the_server() {
        let (clock, start) = (ServerClock::default(), now());
        // Far from any date that this host may have.
        clock.clone().read(&headers("Tue, 01 Jan 2030 00:00:00 GMT"));
        let date = httpdate::parse_http_date("Tue, 01 Jan 2030 00:00:30 GMT").unwrap();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(clock.moment_of(date), start + Duration::from_secs(30));
        clock.read(&headers("not a date"));
        clock.read(&headers("Tue, 01 Jan 2030 00:00:08 GMT"));
        assert_eq!(clock.moment_of(date), start + Duration::from_secs(7 + 22), "the newest response counts");
    }

    #[test]
    fn without_a_response_the_clock_of_this_host_stands_in() {
        let at = ServerClock::default().moment_of(own_date() + Duration::from_secs(60));
        let left = at.saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    }
}
