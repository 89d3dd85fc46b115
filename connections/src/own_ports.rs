//! The local ports of probes, whose connections never count.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The local ports of connections that this process opens only to probe, and that must not count.
///
/// A released port stays here until the next sample begins: a sample in progress may still see its socket.
#[derive(Debug, Default)]
pub(crate) struct OwnPorts {
    ports: Mutex<BTreeMap<u16, Use>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Use {
    Reserved,
    Released,
}

/// A reserved port, which is released on drop. Its socket has to be closed before.
#[derive(Debug)]
pub(crate) struct OwnPort {
    port: u16,
    ports: Arc<OwnPorts>,
}

impl OwnPorts {
    pub(crate) fn reserve(self: &Arc<Self>, port: u16) -> OwnPort {
        self.change(|ports| ports.insert(port, Use::Reserved));
        OwnPort { port, ports: Arc::clone(self) }
    }

    /// Forgets the released ports. To be called when a sample begins and no earlier one is in progress.
    pub(crate) fn begin_sample(&self) {
        self.change(|ports| ports.retain(|_, state| *state == Use::Reserved));
    }

    /// Returns `true` if a socket with this local port, seen by the sample in progress, may be a probe.
    pub(crate) fn contains(&self, port: u16) -> bool {
        self.change(|ports| ports.contains_key(&port))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<u16, Use>) -> T) -> T {
        change(&mut self.ports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        self.ports.change(|ports| ports.insert(self.port, Use::Released));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_port_is_kept_until_the_next_sample_begins() {
        let own_ports = Arc::new(OwnPorts::default());
        let port = own_ports.reserve(40_000);
        own_ports.begin_sample();
        assert!(own_ports.contains(40_000));
        drop(port);
        assert!(own_ports.contains(40_000), "the sample in progress may have seen its socket");
        own_ports.begin_sample();
        assert!(!own_ports.contains(40_000));
    }
}
