//! Parses `tcp_info` of `linux/tcp.h`.

use std::time::Duration;

use netlink_packet_sock_diag::{
    constants::{TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_SYN_SENT},
    inet::InetResponseHeader,
};

use crate::{
    netlink::fields::{u32_at, u64_at},
    sample::EndedBy,
    socket::{Activity, Delivered, Traffic},
};

/// The part of `tcp_info` that matters for counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TcpInfo {
    /// Milliseconds since data was sent, or since the connection was established.
    last_data_sent: u32,
    /// Milliseconds since data was received, or since the connection was established.
    last_data_recv: u32,
    /// Milliseconds since an acknowledgement was received.
    last_ack_recv: u32,
    rtt_micros: u32,
    retransmits: u32,
    /// Bytes acknowledged, with the SYN and the FIN as one each.
    acknowledged: u64,
    /// Bytes received, with the FIN as one.
    received: u64,
    /// Segments with data received.
    data_segments_received: u32,
    /// Bytes of data sent, without repetitions; `None` before Linux 4.19.
    sent: Option<u64>,
}

impl TcpInfo {
    /// Parses the struct, which only ever grows at its end: an old kernel sends less of it, and missing fields are zero.
    pub(super) fn parse(info: &[u8]) -> Self {
        const LAST_DATA_SENT_OFFSET: usize = 44;
        const LAST_DATA_RECV_OFFSET: usize = 52;
        const LAST_ACK_RECV_OFFSET: usize = 56;
        const RTT_OFFSET: usize = 68;
        const TOTAL_RETRANS_OFFSET: usize = 100;
        const BYTES_ACKED_OFFSET: usize = 120;
        const BYTES_RECEIVED_OFFSET: usize = 128;
        const DATA_SEGS_IN_OFFSET: usize = 152;
        const BYTES_SENT_OFFSET: usize = 200;
        const BYTES_RETRANS_OFFSET: usize = 208;
        let u32_at = |offset| u32_at(info, offset).unwrap_or(0);
        let sent = u64_at(info, BYTES_SENT_OFFSET).zip(u64_at(info, BYTES_RETRANS_OFFSET));
        let u64_at = |offset| u64_at(info, offset).unwrap_or(0);
        Self {
            last_data_sent: u32_at(LAST_DATA_SENT_OFFSET),
            last_data_recv: u32_at(LAST_DATA_RECV_OFFSET),
            last_ack_recv: u32_at(LAST_ACK_RECV_OFFSET),
            rtt_micros: u32_at(RTT_OFFSET),
            retransmits: u32_at(TOTAL_RETRANS_OFFSET),
            acknowledged: u64_at(BYTES_ACKED_OFFSET),
            received: u64_at(BYTES_RECEIVED_OFFSET),
            data_segments_received: u32_at(DATA_SEGS_IN_OFFSET),
            sent: sent.map(|(sent, repeated)| sent.saturating_sub(repeated)),
        }
    }

    /// Returns the traffic of a socket in this TCP state.
    pub(super) fn traffic(&self, state: u8) -> Traffic {
        let fin_acknowledged = u64::from(state == TCP_FIN_WAIT2);
        let fin_received = u64::from([TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING].contains(&state));
        let received = self.received.saturating_sub(fin_received);
        Traffic {
            bytes: self.acknowledged.saturating_sub(1 + fin_acknowledged).saturating_add(received),
            received,
            retransmits: self.retransmits,
            rtt: (self.rtt_micros > 0).then(|| Duration::from_micros(self.rtt_micros.into())),
        }
    }

    /// Returns the state of the exchange on the connection with this header.
    pub(super) fn activity(&self, header: &InetResponseHeader) -> Activity {
        Activity {
            can_send: [TCP_ESTABLISHED, TCP_SYN_SENT, TCP_CLOSE_WAIT].contains(&header.state),
            is_half: header.state == TCP_FIN_WAIT2,
            sent_ago: Duration::from_millis(self.last_data_sent.into()),
            received_ago: Duration::from_millis(self.last_data_recv.into()),
            acknowledged_ago: Duration::from_millis(self.last_ack_recv.into()),
            unread: header.recv_queue,
            unacknowledged: header.send_queue,
            delivered: self.delivered(),
        }
    }

    /// Returns the bytes of data that were acknowledged.
    pub(super) fn delivered(&self) -> Delivered {
        Delivered { acknowledged: self.acknowledged, sent: self.sent }
    }

    /// Returns the bytes received, with the FIN as one.
    pub(super) fn received_with_end(&self) -> u64 {
        self.received
    }

    /// Returns the times since data was sent and received, or since the connection was established.
    pub(super) fn data_ago(&self) -> (Duration, Duration) {
        let millis = |time: u32| Duration::from_millis(time.into());
        (millis(self.last_data_sent), millis(self.last_data_recv))
    }

    /// Returns `true` if a destroyed socket had been established: its SYN was acknowledged. `is_reset` is set if the
    /// kernel has reset the fields of the socket, and no longer knows the port of the remote side.
    pub(super) fn was_established(&self, is_reset: bool) -> bool {
        if is_reset {
            // Of an attempt that failed, none of the moments was ever set.
            self.last_data_sent != self.last_data_recv || self.last_data_recv != self.last_ack_recv
        } else {
            self.acknowledged > 0
        }
    }

    /// Returns a lower bound of the time since the connection was established, which is exact if no data was
    /// transferred in one of the directions.
    pub(super) fn min_age(&self) -> Duration {
        Duration::from_millis(self.last_data_sent.max(self.last_data_recv).into())
    }

    /// Returns the bytes of data of a destroyed socket, in both directions. The SYN and the FIN of this side were
    /// acknowledged, if it was established and ended in order.
    pub(super) fn bytes_until_end(&self, by: EndedBy) -> u64 {
        self.acknowledged.saturating_sub(2).saturating_add(self.received_until_end(by))
    }

    /// Returns the bytes of data that a connection received until it was destroyed, at most one byte off.
    pub(super) fn received_until_end(&self, by: EndedBy) -> u64 {
        // A FIN counts as a byte, but not as a segment with data. Nothing shows whether the end was a FIN or a reset.
        match (self.data_segments_received, by) {
            (0, _) => 0,
            (_, EndedBy::Backend) => self.received.saturating_sub(1).max(1),
            _ => self.received,
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_sock_diag::constants::{TCP_ESTABLISHED, TCP_FIN_WAIT1};
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_short_tcp_info_of_an_old_kernel_gives_what_it_has() {
        let mut info = vec![0; 104];
        info[68..72].copy_from_slice(&250u32.to_ne_bytes());
        info[100..104].copy_from_slice(&3u32.to_ne_bytes());
        let expected = Traffic { retransmits: 3, rtt: Some(Duration::from_micros(250)), ..Traffic::default() };
        assert_eq!(TcpInfo::parse(&info).traffic(TCP_ESTABLISHED), expected);
    }

    #[test]
    fn what_was_sent_again_is_no_data_and_an_old_kernel_tells_nothing_of_it() {
        let mut info = vec![0; 216];
        info[120..128].copy_from_slice(&11u64.to_ne_bytes());
        info[200..208].copy_from_slice(&14u64.to_ne_bytes());
        info[208..216].copy_from_slice(&4u64.to_ne_bytes());
        assert_eq!(TcpInfo::parse(&info).delivered(), Delivered { acknowledged: 11, sent: Some(10) });
        assert_eq!(TcpInfo::parse(&info[..208]).delivered(), Delivered { acknowledged: 11, sent: None });
    }

    #[rstest]
    #[case(TCP_ESTABLISHED, 6 + 11, 11)]
    #[case(TCP_FIN_WAIT1, 6 + 11, 11)]
    #[case(TCP_FIN_WAIT2, 5 + 11, 11)]
    #[case(TCP_CLOSE_WAIT, 6 + 10, 10)]
    fn the_ends_of_both_sides_are_no_data(#[case] state: u8, #[case] bytes: u64, #[case] received: u64) {
        let traffic = TcpInfo { acknowledged: 7, received: 11, ..TcpInfo::default() }.traffic(state);
        assert_eq!((traffic.bytes, traffic.received), (bytes, received));
    }

    #[rstest]
    #[case::without_data(0, 1, EndedBy::Backend, 0)]
    #[case::greeting(1, 21, EndedBy::Backend, 20)]
    #[case::one_byte_and_reset(1, 1, EndedBy::Backend, 1)]
    #[case::closed_here(3, 20, EndedBy::Proxy, 20)]
    fn the_end_is_no_data(#[case] segments: u32, #[case] received: u64, #[case] by: EndedBy, #[case] expected: u64) {
        let info = TcpInfo { data_segments_received: segments, received, ..TcpInfo::default() };
        assert_eq!(info.received_until_end(by), expected);
    }
}
