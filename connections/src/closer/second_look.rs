//! Decides whether a socket may be closed, by a look at it just before.

use std::{collections::BTreeSet, net::SocketAddr};

use crate::{
    closer::{AnswerRule, Conditions, How, NotNow, Order, Outcome, Refusal},
    connection::Answered,
    socket::{Activity, Socket, State},
};

/// The ports that this network namespace listens on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listeners {
    ports: BTreeSet<u16>,
    /// Ids of the users that listen on an entry port.
    users: BTreeSet<u32>,
    /// The addresses at which they do.
    entries: BTreeSet<SocketAddr>,
}

impl Listeners {
    /// Takes in a listening socket.
    pub(crate) fn see(&mut self, socket: &Socket, entry_ports: &BTreeSet<u16>) {
        let port = socket.local.port();
        self.ports.insert(port);
        if entry_ports.contains(&port) {
            self.users.insert(socket.user);
            self.entries.insert(socket.local);
        }
    }

    /// Returns the addresses whose listeners matter to an order: its own, and those of the entry ports.
    pub(crate) fn addresses_for(&self, order: &Order) -> Vec<SocketAddr> {
        let concrete = |entry: &SocketAddr| {
            let ip = if entry.ip().is_unspecified() { order.local.ip() } else { entry.ip() };
            SocketAddr::new(ip, entry.port())
        };
        [order.local].into_iter().chain(self.entries.iter().map(concrete)).collect()
    }

    /// Returns `true` if these listeners, `now` found at the [addresses](Self::addresses_for) that matter to an order, leave its
    /// [check](Self::check) as it was when all were listed.
    pub(crate) fn still_hold(&self, order: &Order, now: &[Option<Socket>]) -> bool {
        let [own, entries @ ..] = now else { return false };
        let is_user = |listener: &Socket| self.users.contains(&listener.user);
        own.is_some() == self.ports.contains(&order.local.port())
            && entries.iter().flatten().next().is_some()
            && entries.iter().flatten().all(is_user)
    }

    /// Refuses an order whose local port is that of a listener, unless it is about the half of a client's connection, or all if
    /// nobody listens for clients.
    pub(crate) fn check(&self, order: &Order) -> Result<(), Refusal> {
        match () {
            () if order.how != How::Half && self.ports.contains(&order.local.port()) => Err(Refusal::Listening),
            () if self.users.is_empty() => Err(Refusal::NoListener),
            () => Ok(()),
        }
    }
}

/// Returns why the connection of the order must not be closed, if so. `found` is the socket with its addresses.
pub(crate) fn check(order: &Order, found: Option<&Socket>, listeners: &Listeners) -> Result<(), Outcome> {
    listeners.check(order).map_err(Outcome::Refused)?;
    let Some(socket) = found.filter(|socket| is_that_of(order, socket)) else { return Err(Outcome::Gone) };
    if socket.state == State::Listening {
        return Err(Outcome::Refused(Refusal::Listening));
    }
    let Some(activity) = socket.activity.filter(|_| socket.is_held()) else {
        return Err(Outcome::Gone); // it is ending by itself
    };
    match (order.how, activity.can_send) {
        (How::Finish | How::Abort, true) => {}
        (How::Half, true) => return Err(Outcome::Refused(Refusal::NotHalf)),
        (How::Half, false) if activity.is_half => {}
        (_, false) => return Err(Outcome::Gone), // it is ending by itself
    }
    if !listeners.users.contains(&socket.user) {
        return Err(Outcome::Refused(Refusal::OtherUser));
    }
    unmet(&order.only_if, &activity).map_or(Ok(()), |condition| Err(Outcome::NotNow(condition)))
}

fn is_that_of(order: &Order, socket: &Socket) -> bool {
    (socket.identity, socket.local, socket.remote) == (order.cookie, order.local, order.backend)
}

/// Returns a condition that is not met.
fn unmet(conditions: &Conditions, activity: &Activity) -> Option<NotNow> {
    let answered = match conditions.answer {
        AnswerRule::Answered => activity.answered() == Answered::Yes,
        AnswerRule::MaybeAnswered => activity.answered() != Answered::No,
        AnswerRule::Any => true,
    };
    match () {
        () if !answered => Some(NotNow::NotAnswered),
        () if activity.quiet() < conditions.quiet => Some(NotNow::NotQuiet),
        () if conditions.empty_queues && !activity.queues_are_empty() => Some(NotNow::NotEmpty),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::testing::{USER, connection, listener};

    const ENTRY_PORT: u16 = 3333;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Returns an answered connection that has been quiet for 300 ms.
    fn socket() -> Socket {
        let activity =
            Activity { can_send: true, sent_ago: millis(400), received_ago: millis(300), ..Activity::default() };
        Socket { activity: Some(activity), ..connection(7, "10.0.0.1:80") }
    }

    fn active(change: fn(&mut Activity)) -> Socket {
        let mut socket = socket();
        socket.activity.iter_mut().for_each(change);
        socket
    }

    fn order() -> Order {
        let Socket { identity: cookie, local, remote: backend, .. } = socket();
        Order { backend, local, cookie, how: How::Finish, only_if: Conditions::answered_and_quiet_for(millis(200)) }
    }

    fn listeners() -> Listeners {
        let mut listeners = Listeners::default();
        listeners.see(&listener(ENTRY_PORT, USER), &[ENTRY_PORT].into());
        listeners.see(&listener(8080, USER + 1), &[ENTRY_PORT].into());
        listeners
    }

    fn look(order: &Order, socket: &Socket) -> Result<(), Outcome> {
        check(order, Some(socket), &listeners())
    }

    #[test]
    fn an_answered_quiet_connection_of_the_proxy_is_closed() {
        assert_eq!(look(&order(), &socket()), Ok(()));
    }

    #[test]
    fn listeners_that_have_changed_are_listed_again() {
        let order = order();
        let (entry, own) = (listener(ENTRY_PORT, USER), listener(order.local.port(), USER));
        let still_hold = |now: [Option<Socket>; 2]| listeners().still_hold(&order, &now);
        assert!(still_hold([None, Some(entry)]));
        assert!(!still_hold([None, None]), "nobody listens for clients now");
        assert!(!still_hold([None, Some(listener(ENTRY_PORT, USER + 1))]), "somebody else does");
        assert!(!still_hold([Some(own), Some(entry)]), "the connection may be that of a client");
        let half = Order { how: How::Half, local: (order.local.ip(), ENTRY_PORT).into(), ..order };
        assert!(listeners().still_hold(&half, &[Some(entry), Some(entry)]));
    }

    #[test]
    fn listeners_are_looked_up_where_they_listen() {
        let (order, entry) = (order(), listener(ENTRY_PORT, USER));
        let mut listeners = Listeners::default();
        for ip in ["0.0.0.0", "127.0.0.9"] {
            let local = SocketAddr::new(ip.parse().unwrap(), ENTRY_PORT);
            listeners.see(&Socket { local, ..entry }, &[ENTRY_PORT].into());
        }
        let at = |ip| SocketAddr::new(ip, ENTRY_PORT);
        let expected = [order.local, at(order.local.ip()), at("127.0.0.9".parse().unwrap())];
        assert_eq!(listeners.addresses_for(&order), expected);
    }

    #[rstest]
    #[case::asked(active(|a| a.sent_ago = millis(250)), NotNow::NotAnswered)]
    #[case::asked_and_answered_in_one_tick(active(|a| a.sent_ago = millis(300)), NotNow::NotAnswered)]
    #[case::answered_just_now(active(|a| a.received_ago = millis(199)), NotNow::NotQuiet)]
    #[case::answer_not_read(active(|a| a.unread = 1), NotNow::NotEmpty)]
    #[case::request_not_acknowledged(active(|a| a.unacknowledged = 1), NotNow::NotEmpty)]
    fn a_request_in_progress_is_left_alone(#[case] socket: Socket, #[case] why: NotNow) {
        assert_eq!(look(&order(), &socket), Err(Outcome::NotNow(why)));
        assert_eq!(look(&Order { only_if: Conditions::NONE, ..order() }, &socket), Ok(()));
    }

    #[test]
    fn equal_stamps_pass_only_where_they_may() {
        let socket = active(|a| a.sent_ago = a.received_ago);
        let maybe = Conditions { answer: AnswerRule::MaybeAnswered, ..order().only_if };
        assert_eq!(look(&Order { only_if: maybe, ..order() }, &socket), Ok(()));
        let asked = active(|a| a.sent_ago = millis(250));
        assert_eq!(look(&Order { only_if: maybe, ..order() }, &asked), Err(Outcome::NotNow(NotNow::NotAnswered)));
    }

    #[rstest]
    #[case::other_cookie(Socket { identity: 8, ..socket() })]
    #[case::other_remote(Socket { remote: "10.0.0.2:80".parse().unwrap(), ..socket() })]
    #[case::other_local(Socket { local: "10.0.9.9:1".parse().unwrap(), ..socket() })]
    #[case::ended_here(Socket { state: State::EndedHere, ..active(|a| a.can_send = false) })]
    #[case::both_ended(Socket { state: State::EndedByRemote, ..active(|a| a.can_send = false) })]
    #[case::without_process(Socket { state: State::EndedByRemote, inode: 0, ..socket() })]
    #[case::not_described(Socket { activity: None, ..socket() })]
    fn another_or_an_ending_socket_is_gone(#[case] socket: Socket) {
        assert_eq!(look(&order(), &socket), Err(Outcome::Gone));
        assert_eq!(look(&Order { only_if: Conditions::NONE, ..order() }, &socket), Err(Outcome::Gone));
    }

    #[rstest]
    #[case::opening(State::Opening)]
    #[case::ended_by_the_backend(State::EndedByRemote)]
    fn what_this_side_has_not_ended_may_be_closed(#[case] state: State) {
        assert_eq!(look(&order(), &Socket { state, ..socket() }), Ok(()));
    }

    #[test]
    fn a_listener_is_refused_even_if_everything_matches() {
        let listener = Socket { identity: 7, ..listener(9999, USER) };
        let order = Order { local: listener.local, backend: listener.remote, ..order() };
        assert_eq!(look(&order, &listener), Err(Outcome::Refused(Refusal::Listening)), "not even known as a listener");
    }

    #[rstest]
    #[case::a_clients(ENTRY_PORT)]
    #[case::of_another_listener(8080)]
    fn a_connection_to_a_listener_is_refused(#[case] port: u16) {
        let local = ([10, 0, 9, 9], port).into();
        let (order, socket) = (Order { local, ..order() }, Socket { local, ..socket() });
        assert_eq!(look(&order, &socket), Err(Outcome::Refused(Refusal::Listening)));
    }

    #[test]
    fn a_connection_of_another_user_is_refused() {
        let other = Socket { user: USER + 1, ..socket() };
        assert_eq!(look(&order(), &other), Err(Outcome::Refused(Refusal::OtherUser)));
        assert_eq!(check(&order(), Some(&socket()), &Listeners::default()), Err(Outcome::Refused(Refusal::NoListener)));
    }

    /// Returns the half of a client's connection that has been quiet for 300 ms, and the order to close it.
    fn half() -> (Socket, Order) {
        let local = ([10, 0, 9, 9], ENTRY_PORT).into();
        let (remote, state) = ("192.0.2.7:50000".parse().unwrap(), State::EndedHere);
        let socket =
            Socket { local, remote, state, ..active(|activity| (activity.can_send, activity.is_half) = (false, true)) };
        let only_if = Conditions { quiet: millis(200), ..Conditions::NONE };
        (socket, Order { backend: remote, local, how: How::Half, only_if, ..order() })
    }

    #[test]
    fn the_half_of_a_clients_connection_is_closed_as_one_and_only_as_one() {
        let (socket, half) = half();
        assert_eq!(look(&half, &socket), Ok(()));
        for how in [How::Finish, How::Abort] {
            assert_eq!(look(&Order { how, ..half }, &socket), Err(Outcome::Refused(Refusal::Listening)));
        }
        let later = Order { only_if: Conditions { quiet: millis(301), ..half.only_if }, ..half };
        assert_eq!(look(&later, &socket), Err(Outcome::NotNow(NotNow::NotQuiet)), "its client still sends");
    }

    #[rstest]
    #[case::established(State::Established)]
    #[case::ended_by_the_client(State::EndedByRemote)]
    fn a_whole_connection_of_a_client_is_refused_as_a_half(#[case] state: State) {
        let (socket, half) = half();
        let activity = Activity { can_send: true, is_half: false, ..socket.activity.unwrap() };
        let whole = Socket { state, activity: Some(activity), ..socket };
        assert_eq!(look(&half, &whole), Err(Outcome::Refused(Refusal::NotHalf)));
    }

    #[rstest]
    #[case::not_acknowledged(|s: &mut Socket| s.activity.iter_mut().for_each(|activity| activity.is_half = false), Outcome::Gone)]
    #[case::without_process(|s: &mut Socket| s.inode = 0, Outcome::Gone)]
    #[case::not_described(|s: &mut Socket| s.activity = None, Outcome::Gone)]
    #[case::other_cookie(|s: &mut Socket| s.identity += 1, Outcome::Gone)]
    #[case::other_client(|s: &mut Socket| s.remote = "192.0.2.8:50000".parse().unwrap(), Outcome::Gone)]
    #[case::other_user(|s: &mut Socket| s.user = USER + 1, Outcome::Refused(Refusal::OtherUser))]
    #[case::listener(|s: &mut Socket| s.state = State::Listening, Outcome::Refused(Refusal::Listening))]
    fn what_is_no_half_of_the_proxy_is_left_alone(#[case] change: fn(&mut Socket), #[case] expected: Outcome) {
        let (mut socket, half) = half();
        change(&mut socket);
        assert_eq!(look(&half, &socket), Err(expected));
    }

    #[test]
    fn no_half_is_closed_while_nobody_listens_for_clients() {
        let (socket, half) = half();
        let expected = Err(Outcome::Refused(Refusal::NoListener));
        assert_eq!(check(&half, Some(&socket), &Listeners::default()), expected);
    }

    proptest! {
        #[test]
        fn an_answered_order_never_closes_what_is_not_answered_quiet_and_empty(
            sent in 0..1_000u64, received in 0..1_000u64, quiet in 0..1_000u64, unread in 0..3u32, unacknowledged in 0..3u32,
        ) {
            let (sent_ago, received_ago) = (millis(sent), millis(received));
            let activity =
                Activity { can_send: true, sent_ago, received_ago, unread, unacknowledged, ..Activity::default() };
            let order = Order { only_if: Conditions::answered_and_quiet_for(millis(quiet)), ..order() };
            let is_closed = look(&order, &Socket { activity: Some(activity), ..socket() }).is_ok();
            prop_assert_eq!(is_closed, received < sent && received >= quiet && unread + unacknowledged == 0);
        }
    }
}
