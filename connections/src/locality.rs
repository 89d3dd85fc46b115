use std::{
    io,
    net::{IpAddr, UdpSocket},
};

/// Whether `ip` belongs to this network namespace. Of a proxy at any other address no connection is visible here.
///
/// The kernel decides, by the addresses that a socket may be bound to. (Every address may be with `ip_nonlocal_bind` set,
/// and in a namespace in which not even `lo` is up.)
pub fn is_local(ip: IpAddr) -> bool {
    !matches!(UdpSocket::bind((ip, 0)), Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1", true)]
    #[case("127.1.2.3", true)]
    #[case("192.0.2.1", false)] // reserved for documentation: nobody has it
    fn an_address_is_local_if_it_can_be_bound(#[case] ip: IpAddr, #[case] expected: bool) {
        assert_eq!(is_local(ip), expected);
    }
}
