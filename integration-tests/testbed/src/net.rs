use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use anyhow::{Context, bail};

/// A /16 of 127.0.0.0/8 that no other process of tests has, for as long as this process lives.
///
/// With addresses of their own, servers use fixed ports: none has to be picked, released and hoped to be still free.
/// Outgoing connections on loopback come from 127.0.0.1, which is in no such net, so they never take a port from one.
#[derive(Debug)]
pub struct Net {
    second: u8,
    /// Hosts given out so far, each 127.second.0.host.
    hosts: AtomicU8,
    _lock: File,
}

impl Net {
    /// The net of this process.
    pub fn of_this_process() -> anyhow::Result<&'static Self> {
        static NET: OnceLock<Net> = OnceLock::new();
        if let Some(net) = NET.get() {
            return Ok(net);
        }
        let net = Self::lock_a_free_one()?;
        Ok(NET.get_or_init(|| net))
    }

    fn lock_a_free_one() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join("ilb-testbed-nets");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for second in 1..=254 {
            let path = folder.join(second.to_string());
            let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => return Ok(Self { second, hosts: AtomicU8::new(0), _lock: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(e).context(format!("cannot lock {}", path.display())),
            }
        }
        bail!("all of {} are locked: more than 254 processes of tests run at once", folder.display())
    }

    /// An address for a server, different at each call.
    pub fn host(&self) -> anyhow::Result<Ipv4Addr> {
        match self.hosts.fetch_add(1, Ordering::Relaxed) {
            254.. => bail!("one process of tests has started more than 254 servers"),
            host => Ok(Ipv4Addr::new(127, self.second, 0, host + 1)),
        }
    }

    /// The address of backend number `index` of group `group`, at `port`: a group is a test's own 2 048 backends.
    pub fn backend(&self, group: u8, index: u16, port: u16) -> SocketAddr {
        // 127.second.8*group+8.0 and up: below that are the servers.
        let [high, low] = index.to_be_bytes();
        let third = group % 31 * 8 + 8 + high % 8;
        SocketAddr::from((Ipv4Addr::new(127, self.second, third, low), port))
    }
}
