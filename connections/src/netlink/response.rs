use std::{io, net::SocketAddr, time::Duration};

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NlasIterator, Parseable};
use netlink_packet_sock_diag::{
    SOCK_DIAG_BY_FAMILY,
    constants::{INET_DIAG_INFO, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_SENT},
    inet::InetResponseHeader,
};

use crate::{
    error::ReadError,
    netlink::request::HEADER,
    socket::{Socket, State, Traffic, canonical},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    MoreToCome,
    Done,
}

/// The table changed while the kernel walked it: something may be missing or be there twice.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// Length of `inet_diag_msg` in `linux/inet_diag.h`, in bytes; its attributes follow.
const INET_DIAG_MSG: usize = 72;

/// Visits the sockets of one part of an answer. The library parses messages and attributes; its type for a whole
/// message is not used because it copies every attribute of every socket to the heap.
pub(super) fn read(
    mut part: &[u8],
    sequence: u32,
    whole: &mut bool,
    visit: &mut dyn FnMut(&Socket),
) -> Result<End, ReadError> {
    while let Some(length) = word(part, 0) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (Some(message), Some(flags)) = (part.get(HEADER..length), half(part, 6)) else {
            return Err(ReadError::InvalidLength { claimed: length, received: part.len() });
        };
        // What belongs to an earlier request that was given up half-way.
        let ours = word(part, 8) == Some(sequence);
        *whole &= flags & NLM_F_DUMP_INTR == 0 || !ours;
        match half(part, 4) {
            _ if !ours => {}
            Some(NLMSG_DONE) => {
                return ended(message).map(|()| End::Done);
            }
            Some(NLMSG_ERROR) => ended(message)?,
            Some(SOCK_DIAG_BY_FAMILY) => {
                if let Some(socket) = parse_socket(message)? {
                    visit(&socket);
                }
            }
            _ => {}
        }
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(End::MoreToCome)
}

/// The end of an answer carries an error number: 0, or a negative one.
fn ended(message: &[u8]) -> Result<(), ReadError> {
    match word(message, 0).map_or(0, u32::cast_signed) {
        0.. => Ok(()),
        error => {
            Err(ReadError::io("requesting sockets by netlink")(io::Error::from_raw_os_error(error.saturating_neg())))
        }
    }
}

fn parse_socket(message: &[u8]) -> Result<Option<Socket>, ReadError> {
    let header = InetResponseHeader::parse(message).map_err(ReadError::undecodable)?;
    let state = match header.state {
        TCP_ESTABLISHED => State::Established,
        TCP_SYN_SENT => State::Opening,
        TCP_LISTEN => State::Listening,
        _ => return Ok(None),
    };
    let mut traffic = Traffic::default();
    for attribute in NlasIterator::new(message.get(INET_DIAG_MSG..).unwrap_or_default()) {
        let attribute = attribute.map_err(ReadError::undecodable)?;
        if attribute.kind() == INET_DIAG_INFO {
            traffic = tcp_info(attribute.value());
        }
    }
    let id = header.socket_id;
    Ok(Some(Socket {
        identity: u64::from_ne_bytes(id.cookie),
        local: canonical(SocketAddr::new(id.source_address, id.source_port)),
        remote: canonical(SocketAddr::new(id.destination_address, id.destination_port)),
        state,
        inode: header.inode,
        user: header.uid,
        traffic,
    }))
}

/// `tcp_info` in `linux/tcp.h`. It only ever grows at its end, so an old kernel gives less of it, and what is missing
/// counts as nothing.
fn tcp_info(info: &[u8]) -> Traffic {
    const RTT: usize = 68; // microseconds
    const TOTAL_RETRANS: usize = 100;
    const BYTES_ACKED: usize = 120;
    const BYTES_RECEIVED: usize = 128;
    // The first acknowledged byte is the SYN.
    let acknowledged = long(info, BYTES_ACKED).unwrap_or(0).saturating_sub(1);
    Traffic {
        bytes: acknowledged.saturating_add(long(info, BYTES_RECEIVED).unwrap_or(0)),
        retransmits: word(info, TOTAL_RETRANS).unwrap_or(0),
        rtt: word(info, RTT).filter(|rtt| *rtt > 0).map(|rtt| Duration::from_micros(rtt.into())),
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Chain;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).unwrap();
        let parts: [&[u8]; 6] = [
            &length.to_ne_bytes(),
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &sequence.to_ne_bytes(),
            &[0; 4],
            payload,
        ];
        parts.concat()
    }

    fn read_one(part: &[u8]) -> (Result<End, ReadError>, bool) {
        let mut whole = true;
        (read(part, 7, &mut whole, &mut |_| {}), whole)
    }

    #[test]
    fn an_interrupted_answer_is_noticed() {
        let (end, whole) = read_one(&message(NLMSG_DONE, 0, 7, &[0; 4]));
        assert_eq!((end.unwrap(), whole), (End::Done, true));
        let (end, whole) = read_one(&message(NLMSG_DONE, NLM_F_DUMP_INTR, 7, &[0; 4]));
        assert_eq!((end.unwrap(), whole), (End::Done, false));
    }

    #[test]
    fn the_rest_of_an_earlier_answer_is_skipped() {
        let late = message(NLMSG_ERROR, NLM_F_DUMP_INTR, 6, &(-2i32).to_ne_bytes());
        let (end, whole) = read_one(&[late, message(NLMSG_DONE, 0, 7, &[0; 4])].concat());
        assert_eq!((end.unwrap(), whole), (End::Done, true));
    }

    #[test]
    fn an_error_of_the_kernel_is_an_error_here() {
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let (end, _) = read_one(&message(kind, 0, 7, &(-2i32).to_ne_bytes()));
            assert!(Chain(&end.unwrap_err()).to_string().contains("No such file or directory"));
        }
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        let whole = message(SOCK_DIAG_BY_FAMILY, 0, 7, &[2; 72]);
        for length in [5, 15, 40, whole.len() - 1] {
            let mut cut = whole[..length].to_vec();
            assert!(read_one(&cut).0.is_err(), "{length} bytes");
            if length > 4 {
                cut[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
                assert!(read_one(&cut).0.is_err(), "{length} bytes that claim to be whole");
            }
        }
    }

    #[test]
    fn a_short_tcp_info_of_an_old_kernel_gives_what_it_has() {
        let mut info = vec![0; 104];
        info[68..72].copy_from_slice(&250u32.to_ne_bytes());
        info[100..104].copy_from_slice(&3u32.to_ne_bytes());
        let expected = Traffic { bytes: 0, retransmits: 3, rtt: Some(Duration::from_micros(250)) };
        assert_eq!(tcp_info(&info), expected);
    }
}
