//! Closes connections by `SOCK_DESTROY`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rustix::io::Errno;

use crate::{
    closer::{
        Ability, Closer, Conditions, Limits, NotNow, Order, Outcome,
        rate::Rate,
        second_look::{Listeners, check},
    },
    error::{Chain, ReadError},
    netlink::Netlink,
    own_connection::OwnConnection,
    socket::{Pair, Socket},
};

/// Closes connections of this network namespace by netlink (`SOCK_DESTROY`), which needs the capability `CAP_NET_ADMIN`
/// and Linux with `CONFIG_INET_DIAG_DESTROY`.
///
/// The side of the proxy sees the error "software caused connection abort", the backend a reset, and the proxy's client
/// the end of the connection. Whatever it is ordered, it only closes connections
///
/// * with a cookie, to an address and a port within its [`Limits`] that is the one of another host,
/// * whose local port nobody listens on: no listener, and no connection of a client,
/// * of the user that listens on an entry port,
/// * that this side has not ended,
/// * that meet the conditions of the order at a second look, just before, at that one socket: at most 0.2 ms pass until
///   it is closed, some 20 µs as a rule, and its cookie makes sure that it is still the same,
/// * and no more in a second and in an hour than its limits allow.
///
/// The exception is what an order for a [half](crate::How::Half) names: a client's connection at an entry port that this
/// side has ended, and the client has not. Of the rules above, the other ones hold for it.
///
/// Clones share the limits of the rates.
#[derive(Clone)]
pub struct Destroyer {
    limits: Limits,
    /// The reason for which it cannot close connections, if so.
    unable: Option<String>,
    /// Set if an order is executed by the thread that gives it.
    is_alone: bool,
    state: Arc<Mutex<State>>,
}

/// Time that a look at a socket may have taken for the socket to be closed after it: ten times what it takes as a rule.
const MAX_LOOK: Duration = Duration::from_micros(200);
/// Looks at a socket that are made for one of them to be in time.
const LOOKS: u32 = 8;

/// Age from which on a list of listeners is made again. One that a look-up does not show is found after this time at most.
const MAX_LIST_AGE: Duration = Duration::from_secs(1);

struct State {
    netlink: Option<Netlink>,
    rate: Rate,
    /// All listeners, and the moment at which they were listed.
    listeners: Option<(Instant, Listeners)>,
}

impl Destroyer {
    /// Proves with a connection to itself whether this process can close connections. Where it cannot, it says so in its
    /// [ability](Closer::ability), and every order fails. It blocks for a moment.
    pub fn start(limits: Limits) -> Self {
        let proved = Netlink::open().map_err(|error| Chain(&error).to_string()).and_then(prove);
        let unable = proved.as_ref().err().cloned();
        let state = State { netlink: proved.ok(), rate: Rate::new(&limits), listeners: None };
        Self { limits, unable, is_alone: false, state: Arc::new(Mutex::new(state)) }
    }

    /// Lets [`close`](Closer::close) block its thread, for less than a millisecond as a rule. In a process that does nothing
    /// else, another thread would only add to the cost of an order.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// Closes one connection, as [`Closer::close`] does. It blocks for less than a millisecond.
    pub fn close_now(&self, order: &Order) -> Outcome {
        if let Some(reason) = &self.unable {
            return Outcome::Failed(reason.clone());
        }
        if let Err(refusal) = self.limits.check(order) {
            return Outcome::Refused(refusal);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = state.close(order, &self.limits);
        result.unwrap_or_else(|error| {
            // What is left of a failed response must not be taken for the next one.
            state.netlink = None;
            Outcome::Failed(Chain(&error).to_string())
        })
    }
}

#[async_trait]
impl Closer for Destroyer {
    async fn close(&self, order: &Order) -> Outcome {
        if self.is_alone {
            return self.close_now(order);
        }
        let (this, order) = (self.clone(), *order);
        // The second look and the closing follow each other on one thread.
        let closing = tokio::task::spawn_blocking(move || this.close_now(&order));
        closing.await.unwrap_or_else(|error| Outcome::Failed(error.to_string()))
    }

    async fn ability(&self) -> Ability {
        match &self.unable {
            None => Ability::Able(self.limits.clone()),
            Some(reason) => Ability::Unable(reason.clone()),
        }
    }
}

impl fmt::Debug for Destroyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destroyer").field("limits", &self.limits).field("unable", &self.unable).finish_non_exhaustive()
    }
}

impl State {
    fn close(&mut self, order: &Order, limits: &Limits) -> Result<Outcome, ReadError> {
        let netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => Netlink::open()?,
        };
        let netlink = self.netlink.insert(netlink);
        let listeners = current(&mut self.listeners, netlink, order, limits)?;
        let pair = Pair { local: order.local, remote: order.backend };
        let (found, is_fresh) = look_in_time(|| look_up(netlink, pair), Instant::now)?;
        if let Err(outcome) = check(order, found.as_ref(), listeners) {
            return Ok(outcome);
        }
        if !is_fresh && order.only_if != Conditions::NONE {
            return Ok(Outcome::NotNow(NotNow::Late));
        }
        if let Err(refusal) = self.rate.take(Instant::now()) {
            return Ok(Outcome::Refused(refusal));
        }
        Ok(match netlink.destroy(&pair, order.cookie)? {
            Ok(()) => Outcome::Closed,
            Err(Errno::NOENT) => Outcome::Gone,
            Err(error) => Outcome::Failed(explain(error)),
        })
    }
}

/// Returns the listeners: those of the last list if it is recent and look-ups show that it is right about this order, else
/// those of a list that is made now, which costs many times as much.
fn current<'a>(
    known: &'a mut Option<(Instant, Listeners)>,
    netlink: &mut Netlink,
    order: &Order,
    limits: &Limits,
) -> Result<&'a Listeners, ReadError> {
    let now = Instant::now();
    let recent = known.take().filter(|(listed, _)| now.saturating_duration_since(*listed) < MAX_LIST_AGE);
    let still = match recent {
        Some((listed, listeners)) => {
            let found = netlink.look_up_listeners(&listeners.addresses_for(order))?;
            listeners.still_hold(order, &found).then_some((listed, listeners))
        }
        None => None,
    };
    let current = if let Some(still) = still {
        still
    } else {
        let mut listeners = Listeners::default();
        netlink.visit_listeners(&mut |socket| listeners.see(socket, limits.entry_ports()))?;
        (now, listeners)
    };
    Ok(&known.insert(current).1)
}

/// Looks until a look has ended within [`MAX_LOOK`], at most [`LOOKS`] times. Returns what was seen last, and whether that
/// was in time.
///
/// A thread that loses its processor between the look and the closing would close a connection that has a request by
/// then.
fn look_in_time<T, E>(mut look: impl FnMut() -> Result<T, E>, clock: impl Fn() -> Instant) -> Result<(T, bool), E> {
    let mut looks = 0;
    loop {
        let start = clock();
        let seen = look()?;
        let is_in_time = clock().saturating_duration_since(start) <= MAX_LOOK;
        looks += 1;
        if is_in_time || looks == LOOKS {
            return Ok((seen, is_in_time));
        }
    }
}

fn look_up(netlink: &mut Netlink, pair: Pair) -> Result<Option<Socket>, ReadError> {
    let mut found = Vec::with_capacity(1);
    netlink.look_up(&[pair], &mut found)?;
    Ok(found.pop().flatten())
}

/// Returns the netlink socket if it closes a connection of this process to itself, and the reason if it does not.
fn prove(mut netlink: Netlink) -> Result<Netlink, String> {
    let own =
        OwnConnection::open().map_err(|error| format!("opening a connection to itself as a proof failed: {error}"))?;
    let pair = Pair { local: own.from(), remote: own.to() };
    let found = look_up(&mut netlink, pair).map_err(|error| Chain(&error).to_string())?;
    let Some(socket) = found else { return Err(Chain(&ReadError::ProofMissing(own.to())).to_string()) };
    netlink.destroy(&pair, socket.identity).map_err(|error| Chain(&error).to_string())?.map_err(explain)?;
    if !own.was_aborted() {
        return Err("the kernel claims to have closed a connection opened as a proof, and did not".to_owned());
    }
    Ok(netlink)
}

/// Returns what an error of the kernel means.
fn explain(error: Errno) -> String {
    let way_out = match error {
        Errno::PERM | Errno::ACCESS => {
            "this process lacks the capability NET_ADMIN in the user namespace of its network namespace"
        }
        Errno::OPNOTSUPP => "the kernel of this node was built without CONFIG_INET_DIAG_DESTROY",
        _ => "the kernel refused to close a connection",
    };
    format!("{way_out} ({})", std::io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rstest::rstest;

    use super::*;
    use crate::closer::{How, Refusal};

    #[rstest]
    #[case(Errno::PERM, "NET_ADMIN")]
    #[case(Errno::OPNOTSUPP, "CONFIG_INET_DIAG_DESTROY")]
    fn a_kernel_that_refuses_is_explained(#[case] errno: Errno, #[case] way_out: &str) {
        assert!(explain(errno).contains(way_out));
    }

    #[rstest]
    #[case::at_once(&[20], (1, true))]
    #[case::just_in_time(&[200], (1, true))]
    #[case::at_the_third_look(&[5_000, 201, 200], (3, true))]
    #[case::never(&[201; 9], (8, false))]
    fn a_look_that_took_too_long_is_repeated(#[case] micros: &[u64], #[case] seen: (usize, bool)) {
        let (start, passed, looks) = (Instant::now(), Cell::new(Duration::ZERO), Cell::new(0));
        let look = || {
            passed.set(passed.get() + Duration::from_micros(micros[looks.get()]));
            looks.set(looks.get() + 1);
            Ok::<_, ReadError>(looks.get())
        };
        assert_eq!(look_in_time(look, || start + passed.get()).unwrap(), seen);
    }

    #[tokio::test]
    async fn what_cannot_close_says_so_and_fails_every_order() {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [80], [3333]).unwrap();
        let destroyer = Destroyer { unable: Some("no".to_owned()), ..Destroyer::start(limits) };
        let (backend, local) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:1".parse().unwrap());
        let order = Order { backend, local, cookie: 7, how: How::Abort, only_if: Conditions::NONE };
        assert_eq!(destroyer.close(&order).await, Outcome::Failed("no".to_owned()));
        assert_eq!(destroyer.ability().await, Ability::Unable("no".to_owned()));
    }

    #[tokio::test]
    async fn the_limits_hold_before_anything_is_looked_up() {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [80], [3333]).unwrap();
        let destroyer = Destroyer { unable: None, ..Destroyer::start(limits) };
        let (backend, local) = ("127.0.0.1:80".parse().unwrap(), "127.0.0.1:1".parse().unwrap());
        let order = Order { backend, local, cookie: 7, how: How::Abort, only_if: Conditions::NONE };
        assert_eq!(destroyer.close(&order).await, Outcome::Refused(Refusal::ForeignAddress));
    }
}
