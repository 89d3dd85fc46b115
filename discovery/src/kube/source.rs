use std::{
    marker::PhantomData,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, future, stream};
use kube::Client;

use super::{
    follow::follow,
    index::{Effect, Index, set_of},
    object::Object,
    request::Page,
    rules::Rules,
    scope::{Kind, Namespace, Scope},
};
use crate::{
    BackendSet, Error, FieldSelector, Selector,
    publish::{self, Publisher},
};

/// The objects of one kind that tell of the backends, in one or several namespaces or in all.
pub(super) struct Source<K> {
    client: Client,
    kind: Kind,
    namespaces: Namespaces,
    labels: Selector,
    fields: Option<FieldSelector>,
    pub(super) rules: Rules,
    /// One per namespace, or one for all of them. What they have learnt survives the streams that use them.
    scopes: Vec<Arc<Scope>>,
    object: PhantomData<fn() -> K>,
}

pub(super) enum Namespaces {
    All,
    These(Vec<Namespace>),
}

/// At most so many events become one set: enough for a burst to cost little, few enough for no delay to be felt.
const MOST_EVENTS_PER_SET: usize = 1_000;

impl<K: Object> Source<K> {
    pub(super) fn new(client: Client, kind: Kind, namespace: &str, labels: Selector, rules: Rules) -> Self {
        let namespaces = Namespaces::These(vec![namespace.into()]);
        Self { client, kind, namespaces, labels, fields: None, rules, scopes: Vec::new(), object: PhantomData }.scoped()
    }

    pub(super) fn with_namespaces(self, namespaces: Namespaces) -> Self {
        Self { namespaces, ..self }.scoped()
    }

    pub(super) fn with_fields(self, fields: FieldSelector) -> Self {
        Self { fields: Some(fields), ..self }.scoped()
    }

    fn scoped(mut self) -> Self {
        let scope = |namespace: Option<&Namespace>| {
            Arc::new(Scope::new(self.kind, namespace, &self.labels, self.fields.as_ref()))
        };
        self.scopes = match &self.namespaces {
            Namespaces::All => vec![scope(None)],
            Namespaces::These(names) => names.iter().map(|name| scope(Some(name))).collect(),
        };
        self
    }

    pub(super) async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let lists = future::try_join_all(self.scopes.iter().map(|scope| self.objects(scope))).await?;
        Ok(Arc::new(set_of(lists.iter().flatten(), &self.rules)))
    }

    async fn objects(&self, scope: &Scope) -> Result<Vec<K>, Error> {
        let (mut objects, mut token) = (Vec::new(), None);
        loop {
            let page = Page::<K>::get(&self.client, scope, &scope.page(token.as_deref())).await;
            let page = page.map_err(|error| error.into_error(&scope.what))?;
            token = page.next();
            objects.extend(page.into_items());
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    pub(super) fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        let mut index = Index::new(self.rules.clone(), self.scopes.len());
        let follow_one = |(at, scope): (usize, &Arc<Scope>)| {
            Box::pin(follow::<K>(self.client.clone(), Arc::clone(scope)).map(move |event| (at, event)))
        };
        let mut events = stream::select_all(self.scopes.iter().enumerate().map(follow_one));
        publish::follow(move |publisher| async move {
            let mut last = None;
            while let Some((at, event)) = events.next().await {
                let mut effect = index.take(at, event);
                for _ in 1..MOST_EVENTS_PER_SET {
                    let Some(Some((at, event))) = events.next().now_or_never() else { break };
                    effect |= index.take(at, event);
                }
                tell(&publisher, &index, effect, &mut last);
            }
        })
    }

    /// Of several scopes the one that has been silent for longest counts.
    pub(super) fn since_contact(&self) -> Option<Duration> {
        let ages: Option<Vec<_>> = self.scopes.iter().map(|scope| scope.contact.age()).collect();
        ages?.into_iter().max()
    }

    pub(super) fn relists(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.relists.load(Ordering::Relaxed)).sum()
    }
}

/// Publishes what `effect` did. `last` is the set published before.
fn tell(publisher: &Publisher, index: &Index, effect: Effect, last: &mut Option<Arc<BackendSet>>) {
    if effect.changed {
        *last = index.set().or_else(|| last.take());
    }
    match (index.stale(), &*last) {
        (None, Some(set)) => publisher.fresh(set),
        (Some(error), Some(set)) if effect.changed && !effect.failed => publisher.partly_fresh(set, error.clone()),
        (Some(error), set) if effect.failed => {
            if let Some(set) = set {
                publisher.partly_fresh(set, error.clone());
            }
            publisher.stale(error.clone());
        }
        _ => {}
    }
}

/// The options that all Kubernetes sources have in common, on a type that wraps a [`Source`].
macro_rules! source_options {
    () => {
        /// Which addresses may be backends at all.
        #[must_use]
        pub fn with_addresses(mut self, policy: $crate::AddressPolicy) -> Self {
            self.0.rules.addresses = policy;
            self
        }

        /// Another port, by number or by name.
        #[must_use]
        pub fn with_port(mut self, port: $crate::BackendPort) -> Self {
            self.0.rules.port = port;
            self
        }

        /// Which address families are used. Without this, IPv4 where there is one, else IPv6.
        #[must_use]
        pub fn with_families(mut self, families: $crate::Families) -> Self {
            self.0.rules.families = families;
            self
        }

        /// Whether backends that are draining but still serve count as ready while no other one is, as kube-proxy has
        /// it. Off without this. What an operator drains is never used.
        #[must_use]
        pub fn with_draining_fallback(mut self, enabled: bool) -> Self {
            self.0.rules.draining_fallback = enabled;
            self
        }

        /// These namespaces together instead of one. The set is complete when each of them has been listed, and one
        /// that cannot be listed holds back the first set. Without a name nothing changes.
        #[must_use]
        pub fn in_namespaces<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
            let names: std::collections::BTreeSet<_> = names.into_iter().map(|n| n.as_ref().into()).collect();
            if names.is_empty() {
                return self;
            }
            Self(self.0.with_namespaces($crate::kube::source::Namespaces::These(names.into_iter().collect())))
        }

        /// All namespaces of the cluster. The service account needs `list` and `watch` in all of them.
        #[must_use]
        pub fn in_all_namespaces(self) -> Self {
            Self(self.0.with_namespaces($crate::kube::source::Namespaces::All))
        }
    };
}
pub(super) use source_options;
