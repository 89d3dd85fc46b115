//! The changes of the instances of a fleet, as a stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
};

use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use super::{instance::InstanceState, members::Members};

/// Change of one instance of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceChange {
    /// Host and port of the instance.
    pub instance: String,
    /// State of the instance from now on; `None` if it has left the fleet.
    pub state: Option<InstanceState>,
}

/// Returns the present instances, and then each that joins, leaves or changes. Of several changes that are not read yet
/// only the last one is in the stream.
pub(super) fn changes(members: &Arc<Members>, changed: watch::Receiver<()>) -> BoxStream<'static, InstanceChange> {
    let members = Arc::downgrade(members);
    let start = Watching { members, changed, known: BTreeMap::new(), pending: VecDeque::new() };
    stream::unfold(start, |mut watching| async {
        let next = watching.next().await?;
        Some((next, watching))
    })
    .boxed()
}

/// State of the stream.
struct Watching {
    /// Weak, so that it does not keep the instances of a dropped fleet alive.
    members: Weak<Members>,
    changed: watch::Receiver<()>,
    /// States that are in the stream already, or pending.
    known: BTreeMap<String, InstanceState>,
    pending: VecDeque<InstanceChange>,
}

impl Watching {
    /// Returns the next change; `None` after the end of the fleet.
    async fn next(&mut self) -> Option<InstanceChange> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Some(change);
            }
            self.changed.borrow_and_update();
            self.compare(&*self.members.upgrade()?);
            if self.pending.is_empty() {
                self.changed.changed().await.ok()?;
            }
        }
    }

    fn compare(&mut self, members: &Members) {
        let members = members.all().into_iter();
        let now: BTreeMap<_, _> = members.map(|instance| (instance.label.clone(), instance.state())).collect();
        let left = self.known.keys().filter(|label| !now.contains_key(*label));
        self.pending.extend(left.map(|label| InstanceChange { instance: label.clone(), state: None }));
        let changed = now.iter().filter(|(label, state)| self.known.get(*label) != Some(state));
        let change = |(label, state): (&String, &InstanceState)| InstanceChange {
            instance: label.clone(),
            state: Some(state.clone()),
        };
        self.pending.extend(changed.map(change));
        self.known = now;
    }
}
