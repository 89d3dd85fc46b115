use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The local ports of connections that must never count, because this process makes them only to look.
///
/// A port stays here until a sample has begun after it was given back: a sample under way may still meet its socket.
#[derive(Debug, Default)]
pub(crate) struct OwnPorts {
    ports: Mutex<BTreeMap<u16, Use>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Use {
    InUse,
    GivenBack,
}

/// One port; dropping it gives it back. Its socket has to be closed before.
#[derive(Debug)]
pub(crate) struct OwnPort {
    port: u16,
    of: Arc<OwnPorts>,
}

impl OwnPorts {
    pub(crate) fn take(self: &Arc<Self>, port: u16) -> OwnPort {
        self.change(|ports| ports.insert(port, Use::InUse));
        OwnPort { port, of: Arc::clone(self) }
    }

    /// Says that a sample begins: no earlier one is under way, so what was given back is free.
    pub(crate) fn begin_sample(&self) {
        self.change(|ports| ports.retain(|_, in_use| *in_use == Use::InUse));
    }

    /// Whether a socket that the present sample meets may be one of ours.
    pub(crate) fn contains(&self, port: u16) -> bool {
        self.change(|ports| ports.contains_key(&port))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<u16, Use>) -> T) -> T {
        change(&mut self.ports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        self.of.change(|ports| ports.insert(self.port, Use::GivenBack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_given_back_counts_as_own_until_the_next_sample_begins() {
        let own = Arc::new(OwnPorts::default());
        let port = own.take(40_000);
        own.begin_sample();
        assert!(own.contains(40_000));
        drop(port);
        assert!(own.contains(40_000), "the sample under way may have met its socket");
        own.begin_sample();
        assert!(!own.contains(40_000));
    }
}
