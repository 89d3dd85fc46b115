//! What the fuzz targets call: parsers of what the kernel reports, the counts that are made of it, and the packets of the
//! closer. The targets panic on a panic in these, on a first sample with opened connections, and on an order that is another
//! one after it was sent.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    accounts::AccountId,
    announced::Announced,
    closer::wire::{Close, Reply, Request},
    counters::{parse_active_opens, parse_port_range, parse_time_wait},
    error::ReadError,
    following::Following,
    ledger::Ledger,
    netlink::{Announcement, Kept, response},
    port_range::PortRange,
    process::socket_inode,
    procfs,
    reader::{Reader, Way},
    socket::{Destroyed, Family, Pair, Query, Socket},
    system::System,
    view::View,
};

/// Number of the first request that the responses in the corpus belong to.
const SEQUENCE: u32 = 1;
/// Remote port of the connections in the corpus.
const PORT: u16 = 3333;
/// Port of the listener whose user's connections count.
const LISTENER_PORT: u16 = 8080;

/// Reads responses of `sock_diag` as a dump, as answers to requests for single sockets and as announcements.
pub fn netlink(data: &[u8]) {
    let mut sockets = Vec::new();
    let _ = response::read_dump(data, SEQUENCE, &mut |socket| sockets.push(*socket));
    let mut found = [None; 4];
    let _ = response::read_exact(data, SEQUENCE, &mut found);
    let mut destroyed = Vec::new();
    let mut visit = |announcement: Announcement| {
        let _ = announcement.ended();
        let looked_up = announcement.pair_to_look_up().and(found[0]);
        for kept in [Kept::Unknown, Kept::Nothing, looked_up.map_or(Kept::Nothing, Kept::Socket)] {
            destroyed.push(announcement.destroyed(kept));
        }
    };
    let _ = response::read_announcements(data, Instant::now(), &mut visit);
    count(&Replay { sockets, found: found.to_vec(), destroyed });
}

/// Reads a table of `/proc/net/tcp` of each family, and its lines as the other files of `/proc`.
pub fn proc_net_tcp(data: &[u8]) {
    let mut sockets = Vec::new();
    for family in Family::ALL {
        let _ = procfs::read_lines(data, "reading the table", family, &mut |socket| sockets.push(socket));
    }
    count(&Replay { sockets, found: Vec::new(), destroyed: Vec::new() });
    for line in data.split(|byte| *byte == b'\n') {
        socket_inode(line);
    }
    let text = String::from_utf8_lossy(data);
    let _ = (parse_active_opens(&text), parse_port_range(&text), parse_time_wait(&text));
}

/// Reads packets of the closer and of its client.
pub fn closer_packets(data: &[u8]) {
    if let Ok(Request::Close(close)) = serde_json::from_slice(data)
        && let Some(order) = close.order()
    {
        let sent = serde_json::to_vec(&Request::Close(Close::new(close.id, &order))).unwrap_or_default();
        let received: Result<Request, _> = serde_json::from_slice(&sent);
        assert!(
            matches!(&received, Ok(Request::Close(same)) if (same.id, same.order()) == (close.id, Some(order))),
            "{received:?}"
        );
    }
    match serde_json::from_slice(data) {
        Ok(Reply::Hello(greeting)) => drop(greeting.ability()),
        Ok(Reply::Done(done)) => drop(done.outcome()),
        Ok(Reply::Error(_)) | Err(_) => {}
    }
}

/// Takes samples of both kinds, one with the sockets and one without.
fn count(replay: &Replay) {
    let remotes = |socket: &Socket| (socket.remote.port() == PORT).then_some(socket.remote);
    let backends: Arc<BTreeSet<SocketAddr>> = Arc::new(replay.sockets.iter().filter_map(remotes).collect());
    for way in [Way::Dumps { process_id: None }, Way::Announcements(Following::new(Instant::now()))] {
        let ledger = Ledger::new(Some(LISTENER_PORT), true);
        let view = View { system: replay.clone(), ledger, own_sockets: Arc::default() };
        let mut reader = Reader::new(view, way);
        if let Ok(sample) = reader.sample(1, &backends, |_| true) {
            assert!(sample.iter().all(|(_, load)| load.opened == 0), "{sample:?}");
        }
        let _ = reader.sample(1, &backends, |_| true);
        let _ = reader.sample(2, &Arc::default(), |_| false);
    }
}

/// A system with the same sockets at each moment, some of which are announced as destroyed nevertheless.
#[derive(Clone)]
struct Replay {
    sockets: Vec<Socket>,
    found: Vec<Option<Socket>>,
    destroyed: Vec<Destroyed>,
}

impl System for Replay {
    fn dump(&mut self, _query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        self.sockets.iter().for_each(visit);
        Ok(())
    }

    fn look_up(&mut self, pairs: &[Pair]) -> Result<Vec<Option<Socket>>, ReadError> {
        Ok((0..pairs.len()).map(|index| self.found.get(index).copied().flatten()).collect())
    }

    fn take_announced(&mut self, _user: AccountId) -> Announced {
        Announced { destroyed: self.destroyed.clone(), is_incomplete: false, cost: Duration::ZERO }
    }

    fn set_ports(&mut self, _ports: &BTreeSet<u16>) {}

    fn opened(&mut self) -> Result<u64, ReadError> {
        Ok(u64::MAX)
    }

    fn local_ports(&mut self) -> PortRange {
        PortRange::default()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn processor_time(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("netlink", netlink)]
    #[case("proc_net_tcp", proc_net_tcp)]
    #[case("closer_packets", closer_packets)]
    fn the_corpus_is_survived(#[case] name: &str, #[case] target: fn(&[u8])) {
        ilb_fuzz_replay::replay(name, target);
    }
}
