//! Closes connections by `SOCK_DESTROY`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use rustix::io::Errno;

use crate::{
    closer::{
        Ability, Closer, Limits, Order, Outcome,
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
/// * that meet the conditions of the order at a second look, just before, at that one socket: about 50 µs pass until it
///   is closed, and its cookie makes sure that it is still the same,
/// * and no more in a second and in an hour than its limits allow.
///
/// Clones share the limits of the rates.
#[derive(Clone)]
pub struct Destroyer {
    limits: Limits,
    /// The reason for which it cannot close connections, if so.
    unable: Option<String>,
    state: Arc<Mutex<State>>,
}

struct State {
    netlink: Option<Netlink>,
    rate: Rate,
}

impl Destroyer {
    /// Proves with a connection to itself whether this process can close connections. Where it cannot, it says so in its
    /// [ability](Closer::ability), and every order fails. It blocks for a moment.
    pub fn start(limits: Limits) -> Self {
        let proved = Netlink::open().map_err(|error| Chain(&error).to_string()).and_then(prove);
        let unable = proved.as_ref().err().cloned();
        let state = State { netlink: proved.ok(), rate: Rate::new(&limits) };
        Self { limits, unable, state: Arc::new(Mutex::new(state)) }
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
        let mut listeners = Listeners::default();
        netlink.visit_listeners(&mut |socket| listeners.see(socket, limits.entry_ports()))?;
        let pair = Pair { local: order.local, remote: order.backend };
        let found = look_up(netlink, pair)?;
        if let Err(outcome) = check(order, found.as_ref(), &listeners) {
            return Ok(outcome);
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
    use rstest::rstest;

    use super::*;
    use crate::closer::{Conditions, How, Refusal};

    #[rstest]
    #[case(Errno::PERM, "NET_ADMIN")]
    #[case(Errno::OPNOTSUPP, "CONFIG_INET_DIAG_DESTROY")]
    fn a_kernel_that_refuses_is_explained(#[case] errno: Errno, #[case] way_out: &str) {
        assert!(explain(errno).contains(way_out));
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
