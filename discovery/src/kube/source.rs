//! The source behind pods and EndpointSlices: binds requests, events and the index together.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, future, stream};
use kube::Client;

use super::{
    BackendPort,
    decoded::Decoded,
    follow::follow,
    index::{Effect, Index, complete_set},
    object::Object,
    options::{KubeOptions, Namespaces},
    request::Page,
    rules::Rules,
    scope::{Namespace, Scope},
};
use crate::{
    BackendSet, Complaints, Discovery, Error, FieldSelector, Selector, SourceInfo, Update,
    publish::{self, Publisher},
};

/// Discovers backends from Kubernetes objects of one kind, in one namespace, several, or all.
///
/// The kinds are [`PodDiscovery`](crate::PodDiscovery) and [`EndpointSliceDiscovery`](crate::EndpointSliceDiscovery),
/// which have the constructors.
pub struct KubeDiscovery<K> {
    client: Client,
    /// Namespace given to the constructor, searched unless the options name others.
    namespace: Namespace,
    labels: Selector,
    fields: Option<FieldSelector>,
    rules: Rules,
    /// Scopes, one per namespace or one for all of them. They outlive the streams that use them.
    scopes: Vec<Arc<Scope>>,
    object: PhantomData<fn() -> K>,
}

/// Maximum number of events that become one set: enough for a burst to cost little, few enough for no delay to be felt.
const MAX_EVENTS_PER_SET: usize = 1_000;

#[expect(private_bounds, reason = "the kinds of objects are fixed")]
impl<K: Object> KubeDiscovery<K> {
    pub(super) fn select(client: Client, namespace: &str, labels: Selector, port: BackendPort) -> Self {
        let rules = Rules::new(port, KubeOptions::default());
        let (namespace, scopes) = (namespace.into(), Vec::new());
        Self { client, namespace, labels, fields: None, rules, scopes, object: PhantomData }.with_scopes()
    }

    /// Replaces the options, which are [`KubeOptions::default`] before.
    #[must_use]
    pub fn with_options(mut self, options: KubeOptions) -> Self {
        self.rules.options = options;
        self.with_scopes()
    }

    pub(super) fn with_fields(mut self, fields: FieldSelector) -> Self {
        self.fields = Some(fields);
        self.with_scopes()
    }

    fn with_scopes(mut self) -> Self {
        let scope = |namespace: Option<&Namespace>| {
            let scope = Scope::new(
                K::RESOURCE,
                namespace,
                &self.labels,
                self.fields.as_ref(),
                self.rules.options.watch_lifetime,
            );
            Arc::new(scope.with_clock(self.rules.clock.clone()))
        };
        self.scopes = match &self.rules.options.namespaces {
            Namespaces::Given => vec![scope(Some(&self.namespace))],
            Namespaces::These(names) => names.iter().map(|name| scope(Some(name))).collect(),
            Namespaces::All => vec![scope(None)],
        };
        self
    }

    async fn list_objects(&self, scope: &Scope) -> Result<Vec<Decoded<K>>, Error> {
        let known = scope.versions().known();
        let (mut objects, mut token) = (Vec::new(), None);
        loop {
            let page = Page::get(&self.client, scope, token.as_deref(), known).await;
            let page = page.map_err(|error| error.into_error(&scope.what))?;
            token = page.next;
            objects.extend(page.items);
            if token.is_none() {
                return Ok(objects);
            }
        }
    }
}

#[async_trait]
impl<K: Object> Discovery for KubeDiscovery<K> {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        let list = async |scope: &Arc<Scope>| match self.list_objects(scope).await {
            Ok(objects) => Ok(Ok((objects, Arc::clone(&scope.complaints)))),
            Err(error @ Error::Forbidden { .. }) => Ok(Err(error)),
            Err(error) => Err(error),
        };
        let (mut lists, mut refusals) = (Vec::new(), Vec::new());
        for list in future::try_join_all(self.scopes.iter().map(list)).await? {
            match list {
                Ok(list) => lists.push(list),
                Err(error) => refusals.push(error),
            }
        }
        let set = Arc::new(complete_set(&lists, &self.rules));
        match refusals.into_iter().next() {
            None => Ok(set),
            Some(error) if lists.is_empty() => Err(error),
            Some(error) => Err(Error::Partial { set, cause: Box::new(error) }),
        }
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        self.watch_updates().map(|update| update.map(|update| update.set)).boxed()
    }

    fn watch_updates(&self) -> BoxStream<'static, Result<Update, Error>> {
        let mut index = Index::new(self.rules.clone(), self.scopes.iter().map(|scope| Arc::clone(&scope.complaints)));
        let follow_one = |(at, scope): (usize, &Arc<Scope>)| {
            Box::pin(follow::<K>(self.client.clone(), Arc::clone(scope)).map(move |event| (at, event)))
        };
        let mut events = stream::select_all(self.scopes.iter().enumerate().map(follow_one));
        publish::spawn_updates(move |publisher| async move {
            let mut last = None;
            while let Some((at, event)) = events.next().await {
                let mut effect = index.apply(at, event);
                for _ in 1..MAX_EVENTS_PER_SET {
                    let Some(Some((at, event))) = events.next().now_or_never() else { break };
                    effect |= index.apply(at, event);
                }
                publish_effect(&publisher, &mut index, effect, &mut last);
            }
        })
    }

    fn since_contact(&self) -> Option<Duration> {
        let ages: Option<Vec<_>> = self.scopes.iter().map(|scope| scope.contact.age()).collect();
        ages?.into_iter().max()
    }

    fn relists(&self) -> Option<u64> {
        Some(self.scopes.iter().map(|scope| scope.relists.load(Ordering::Relaxed)).sum())
    }

    fn info(&self) -> Option<SourceInfo> {
        let (kind, what) = K::describe(&self.labels);
        let mut info = SourceInfo::new(kind, what);
        info.namespaces = match &self.rules.options.namespaces {
            Namespaces::Given => vec![self.namespace.to_string()],
            Namespaces::These(names) => names.iter().map(ToString::to_string).collect(),
            Namespaces::All => Vec::new(),
        };
        info.port = Some(self.rules.port.to_string());
        Some(info)
    }

    fn complaints_version(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.complaints.version()).fold(0, u64::wrapping_add)
    }

    fn complaints(&self, limit: usize) -> Complaints {
        let mut complaints = Complaints::default();
        for scope in &self.scopes {
            let (count, first) = scope.complaints.first(limit);
            complaints.count += count;
            complaints.listed.extend(first);
        }
        complaints.listed.sort_unstable();
        complaints.listed.truncate(limit);
        complaints
    }
}

impl<K> fmt::Debug for KubeDiscovery<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| &scope.what).collect();
        f.debug_struct("KubeDiscovery")
            .field("scopes", &scopes)
            .field("labels", &self.labels)
            .field("fields", &self.fields)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Publishes what `effect` changed. `last` is the set published before.
fn publish_effect(publisher: &Publisher, index: &mut Index, effect: Effect, last: &mut Option<Arc<BackendSet>>) {
    if effect.changed {
        *last = index.set().or_else(|| last.take());
    }
    let left_selector = index.take_left_selector();
    match (index.stale(), &*last) {
        (None, Some(set)) => publisher.fresh_after(set, &left_selector),
        (None, None) => {}
        (Some(error), set) => {
            if let Some(set) = set.as_ref().filter(|_| effect.changed) {
                publisher.partly_fresh_after(set, error.clone(), &left_selector);
            }
            if effect.failed {
                publisher.stale(error.clone());
            }
        }
    }
}
