//! The ways of reading the kernel's socket table.

use std::fmt;

/// A way of reading the kernel's socket table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Netlink announces each closed connection at once, so the table is read only now and then. Otherwise it is the same
    /// as [`Netlink`](Self::Netlink).
    NetlinkAnnouncements,
    /// Netlink reports opened and closed connections by cookie, bytes and round-trip times.
    Netlink,
    /// `/proc/net/tcp` is slower and reports neither bytes, retransmits nor round-trip times.
    Procfs,
}

impl Method {
    /// Returns the name of this way.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NetlinkAnnouncements => "netlink announcements",
            Self::Netlink => "netlink",
            Self::Procfs => "/proc/net/tcp",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
