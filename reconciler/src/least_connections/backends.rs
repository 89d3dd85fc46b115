//! Least connections: what discovery reports.

use std::{collections::BTreeSet, net::SocketAddr, time::Instant};

use ilb_discovery::{Backend, BackendSet, Capacity};

use super::{LeastConnections, is_ready};
use crate::{decision::Reason, observations::Count, tracked::Tracked};

/// Divisor of the number of backends: that many may be added before the map is packed. With 10 000 that come one by one, it takes
/// 2.7 MB less, and each is moved nine times on average; packed with each of them, an addition would take a millisecond.
const UNPACKED_PART: usize = 8;

impl LeastConnections {
    /// Takes in a complete set of backends.
    pub fn set_backends(&mut self, set: &BackendSet, now: Instant) {
        let first = !std::mem::replace(&mut self.knows_backends, true);
        if first {
            self.make_urgent(Some(Reason::Backends));
        }
        // Most sets differ in few backends from the one before. Both are in the order of addresses.
        let (mut added, mut removed, mut reason) = (Vec::new(), Vec::new(), None);
        let mut known = self.backends.values_mut().peekable();
        for backend in set.iter() {
            while let Some(gone) = known.next_if(|t| t.backend.address() < backend.address()) {
                removed.push(gone.backend.address());
                reason = reason.max(reason_of_change(Some(&gone.backend), None));
            }
            match known.next_if(|t| t.backend.address() == backend.address()) {
                Some(tracked) if tracked.backend == *backend => {}
                Some(tracked) => {
                    reason = reason.max(reason_of_change(Some(&tracked.backend), Some(backend)));
                    // A backend that could not take connections until now is treated as a new one.
                    if tracked.is_ready() == is_ready(backend) {
                        tracked.backend = backend.clone();
                    } else {
                        *tracked = tracked.as_new(backend.clone(), (!first).then_some(now));
                    }
                }
                None => {
                    reason = reason.max(reason_of_change(None, Some(backend)));
                    let tracked = Tracked::new(backend.clone(), (!first).then_some(now), Count::default());
                    added.push((backend.address(), tracked));
                }
            }
        }
        for gone in known {
            removed.push(gone.backend.address());
            reason = reason.max(reason_of_change(Some(&gone.backend), None));
        }
        self.make_urgent(reason);
        for address in removed {
            self.backends.remove(&address);
        }
        self.unpacked += added.len();
        if self.unpacked * UNPACKED_PART > self.backends.len() {
            // It moves all of them. One entry after the other in the order of addresses leaves the nodes half empty.
            self.backends.append(&mut added.into_iter().collect());
            self.unpacked = 0;
        } else {
            self.backends.extend(added);
        }
    }

    /// Takes in which backends other pools have, too. Their connections are load here as well, but do not tell what became
    /// of this pool's plan.
    pub fn set_shared(&mut self, shared: &BTreeSet<SocketAddr>) {
        for (address, tracked) in &mut self.backends {
            tracked.is_shared = shared.contains(address);
        }
    }
}

/// Returns the reason for a new plan that lies in the change of one backend, if it matters for the plan.
fn reason_of_change(old: Option<&Backend>, new: Option<&Backend>) -> Option<Reason> {
    let ready_capacity =
        |backend: Option<&Backend>| -> Option<Capacity> { backend.filter(|b| is_ready(b)).map(Backend::capacity) };
    match (ready_capacity(old), ready_capacity(new)) {
        (None, None) => None,
        (Some(old), Some(new)) => (old != new).then_some(Reason::Capacity),
        (Some(_), None) if new.is_some() => Some(Reason::Drain),
        _ => Some(Reason::Backends),
    }
}
