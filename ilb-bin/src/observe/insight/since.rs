//! The moments since which backends are in their states.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use ilb_discovery::BackendSet;
use tokio::time::Instant;

use super::words::BackendState;

/// State of each backend, and the moment since which it is in it. Copies share it until it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatesSince(Arc<BTreeMap<SocketAddr, (BackendState, Instant)>>);

impl StatesSince {
    /// Takes in the backends of a set, with their states.
    pub(super) fn discovered(&mut self, set: &BackendSet, now: Instant) {
        let states = Arc::make_mut(&mut self.0);
        states.retain(|address, _| set.get(address).is_some());
        for backend in set.iter() {
            // A backend that is suspect or failing stays so as long as it is ready for discovery.
            let state = BackendState::from(backend.state());
            let entry = states.entry(backend.address()).or_insert((state, now));
            let is_misfit = matches!(entry.0, BackendState::Suspect | BackendState::Failing);
            if entry.0 != state && !(is_misfit && state == BackendState::Ready) {
                *entry = (state, now);
            }
        }
    }

    /// Takes in that a backend is in this state from now on.
    pub(super) fn changed(&mut self, backend: SocketAddr, state: BackendState, now: Instant) {
        if let Some(entry) = Arc::make_mut(&mut self.0).get_mut(&backend).filter(|entry| entry.0 != state) {
            *entry = (state, now);
        }
    }

    /// Returns the moment since which a backend is in its state.
    pub(crate) fn get(&self, backend: SocketAddr) -> Option<Instant> {
        self.0.get(&backend).map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ilb_discovery::State;

    use super::*;
    use crate::observe::insight::tests::{address, set};

    #[tokio::test(start_paused = true)]
    async fn a_state_lasts_from_its_change_and_ends_with_the_backend() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut states = StatesSince::default();
        let since = |states: &StatesSince, last| states.get(address(last)).map(|since| (since - begun).as_secs());
        states.discovered(&set(&[State::Ready, State::NotReady]), begun);
        states.discovered(&set(&[State::Ready, State::Ready]), at(5));
        assert_eq!((since(&states, 1), since(&states, 2)), (Some(0), Some(5)));
        states.changed(address(1), BackendState::Failing, at(7));
        states.discovered(&set(&[State::Ready, State::Ready, State::Ready]), at(9));
        assert_eq!((since(&states, 1), since(&states, 3)), (Some(7), Some(9)), "discovery does not know of failures");
        states.discovered(&set(&[State::Draining]), at(11));
        assert_eq!((since(&states, 1), since(&states, 2)), (Some(11), None));
    }
}
