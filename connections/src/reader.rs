//! Takes the samples of all users from one table.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    accounts::AccountId,
    connection::Connection,
    error::Error,
    first_seen::FirstSeenAt,
    following::Following,
    sample::Sample,
    socket::Query,
    system::System,
    view::{Started, View},
};

/// Takes the samples of all users from one table.
pub(crate) struct Reader<S> {
    view: View<S>,
    way: Way,
    has_warned: bool,
}

/// The way in which the table is read.
pub(crate) enum Way {
    /// Each sample reads the whole table. Only connections of the process with this id count, if there is one.
    Dumps { process_id: Option<u32> },
    /// Closed connections are announced, opened ones are searched for, and dumps correct both.
    Announcements(Following),
}

impl<S: System> Reader<S> {
    pub(crate) fn new(view: View<S>, way: Way) -> Self {
        Self { view, way, has_warned: false }
    }

    /// Takes a sample for a user. Users that are not `alive` are forgotten.
    ///
    /// A failed sample loses nothing: the next one has what it saw.
    pub(crate) fn sample(
        &mut self,
        user: AccountId,
        backends: &Arc<BTreeSet<SocketAddr>>,
        alive: impl Fn(AccountId) -> bool,
    ) -> Result<Sample, Error> {
        let view = &mut self.view;
        let started = Started::now(&view.system);
        view.ledger.set_backends(user, backends, alive);
        view.own_sockets.begin_sample();
        let earlier_cost = match &mut self.way {
            Way::Dumps { process_id } => view.dump(*process_id).map(|()| Duration::ZERO),
            Way::Announcements(following) => following.sample(view, user),
        }?;
        self.warn_of_missing_listener();
        let view = &mut self.view;
        let unseen = match &self.way {
            Way::Dumps { .. } => 0,
            Way::Announcements(following) => view.ledger.part_of_user(following.unseen_own()),
        };
        let (loads, endings) = view.ledger.take_sample(user, backends, view.system.now());
        let cost = started.cost(&view.system) + earlier_cost;
        let sample = loads.into_iter().collect::<Sample>().with_endings(endings);
        Ok(sample.with_unseen(unseen).with_cost(cost))
    }

    /// Describes the connections to these backends that the samples so far have counted. It reads the whole table, and
    /// leaves what samples know as it is.
    pub(crate) fn connections(&mut self, backends: &BTreeSet<SocketAddr>) -> Result<Vec<Connection>, Error> {
        let (mut connections, view) = (Vec::new(), &mut self.view);
        let query =
            Query { families: view.ledger.query().families, ports: backends.iter().map(SocketAddr::port).collect() };
        view.system.dump(&query, &mut |socket| {
            if backends.contains(&socket.remote) {
                connections.extend(view.ledger.describe(socket));
            }
        })?;
        // The kernel may show a connection twice if others are closed meanwhile.
        connections.sort_unstable_by_key(|connection| connection.cookie);
        connections.dedup_by_key(|connection| connection.cookie);
        Ok(connections)
    }

    /// Returns when the connections with these cookies were first seen, as far as they are known.
    pub(crate) fn first_seen(&self, cookies: &BTreeSet<u64>) -> FirstSeenAt {
        cookies.iter().filter_map(|cookie| Some((*cookie, self.view.ledger.first_seen(*cookie)?))).collect()
    }

    fn warn_of_missing_listener(&mut self) {
        let missing = self.view.ledger.missing_listener();
        if let Some(port) = missing.filter(|_| !self.has_warned) {
            tracing::warn!(port, "nobody listens on the port whose user's connections count, so those of all users do");
        }
        self.has_warned = missing.is_some();
    }
}

#[cfg(test)]
mod tests;
