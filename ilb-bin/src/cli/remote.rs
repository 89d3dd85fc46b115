//! The replicas of ilb that a command asks: one by its URL, or the pods of a cluster, each through a port that is forwarded
//! with the kubeconfig.

mod forward;
mod pods;
mod target;

use std::{ffi::OsString, path::Path};

use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgMatches, builder::PathBufValueParser, value_parser};
use futures_util::future::join_all;
use kube::Client;

pub(super) use self::pods::Pod;
use self::{
    forward::Forward,
    pods::{Query, find},
    target::Target,
};
use super::{
    admin_client::{AdminClient, StatusStream},
    together::Answer,
};
use crate::{
    exit::Failure,
    observe::{connections::ConnectionPage, insight::Status},
    settings::ClusterChoice,
    wiring::{Cluster, objects::is_name},
};

/// Name of the program as which kubectl runs it for `kubectl ilb`.
const PLUGIN: &str = "kubectl-ilb";

const TARGET: &str = "target";
const NAMESPACE: &str = "namespace";
const ALL_NAMESPACES: &str = "all-namespaces";
const LABELS: &str = "selector";
const CONTEXT: &str = "context";
const KUBECONFIG: &str = "kubeconfig";
const PORT: &str = "port";

/// Replica of ilb that a command asks.
pub(super) struct Replica {
    /// The pod; `None` for a replica that is asked by its URL.
    pub(super) pod: Option<Pod>,
    pub(super) client: AdminClient,
    forward: Option<Forward>,
}

/// Describes the flags that choose the replicas.
pub(super) fn flags() -> Vec<Arg> {
    let flag = |name: &'static str, short: char, value: &'static str, help: &'static str| {
        Arg::new(name).short(short).long(name).value_name(value).help(help).help_heading("Cluster")
    };
    let context = "Context of the kubeconfig [default: the current one]";
    let port = "Port of the admin server in the pods [default: that of the container ilb, or 8081]";
    vec![
        Arg::new(TARGET).value_name("NAME").help(
            "Replicas in a cluster: deploy/NAME, ds/NAME, sts/NAME, pod/NAME, or the name of a release of the chart",
        ),
        AdminClient::flag().conflicts_with_all([TARGET, NAMESPACE, ALL_NAMESPACES, LABELS, KUBECONFIG, CONTEXT, PORT]),
        flag(NAMESPACE, 'n', "NAMESPACE", "Namespace of the replicas [default: that of the kubeconfig's context]"),
        flag(ALL_NAMESPACES, 'A', "", "Search all namespaces").action(ArgAction::SetTrue).conflicts_with(NAMESPACE),
        flag(LABELS, 'l', "LABELS", "Label selector of the replicas [default: app.kubernetes.io/name=ilb]"),
        Arg::new(KUBECONFIG)
            .long(KUBECONFIG)
            .value_name("FILE")
            .value_parser(PathBufValueParser::new())
            .help("Kubeconfig [default: that of KUBECONFIG or ~/.kube/config]")
            .help_heading("Cluster"),
        Arg::new(CONTEXT).long(CONTEXT).value_name("CONTEXT").help(context).help_heading("Cluster"),
        Arg::new(PORT)
            .long(PORT)
            .value_name("PORT")
            .value_parser(value_parser!(u16).range(1..))
            .help(port)
            .help_heading("Cluster"),
    ]
}

/// Returns whether kubectl runs this process, for `kubectl ilb`.
pub(super) fn is_plugin() -> bool {
    is_plugin_name(std::env::args_os().next())
}

fn is_plugin_name(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_stem().is_some_and(|name| name == PLUGIN))
}

/// Search for replicas in a cluster.
pub(super) struct Search {
    client: Client,
    query: Query,
}

impl Search {
    /// Lists the pods of the replicas; never none.
    pub(super) async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        find(&self.client, &self.query).await
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a port to each replica.
    async fn all(&self) -> Result<Vec<Replica>, Failure> {
        let mut replicas = Vec::new();
        for pod in self.pods().await? {
            replicas.push(self.open(pod).await?);
        }
        Ok(replicas)
    }

    /// Opens a port to a replica.
    pub(super) async fn open(&self, pod: Pod) -> Result<Replica, Failure> {
        let forward = Forward::open(&self.client, &pod).await?;
        let client = AdminClient::at(&forward.url())?;
        Ok(Replica { pod: Some(pod), client, forward: Some(forward) })
    }
}

/// Finds the replicas of a release, and opens a port to each.
pub(super) async fn of_release(cluster: &Cluster, namespace: &str, release: &str) -> Result<Vec<Replica>, Failure> {
    let query = Query {
        target: Some(Target::Release(release.to_owned())),
        namespace: Some(namespace.to_owned()),
        ..Query::default()
    };
    let search = Search { client: cluster.client.clone(), query };
    search.all().await
}

/// Returns the replica in the same pod.
pub(super) fn local(matches: &ArgMatches) -> Result<Vec<Replica>, Failure> {
    Ok(vec![Replica { pod: None, client: AdminClient::from_matches(matches)?, forward: None }])
}

/// Asks all replicas for their status at the same time.
pub(super) async fn ask(replicas: &[Replica]) -> Vec<Answer> {
    join_all(replicas.iter().map(|replica| async { replica.answer(replica.status().await) })).await
}

/// Replicas that the flags choose.
pub(super) struct Replicas {
    /// Never empty.
    pub(super) list: Vec<Replica>,
    /// The search by which they were found; `None` for a replica that is asked by its URL.
    pub(super) search: Option<Search>,
}

/// Finds the replicas that the flags choose, and opens a port to each of those in a cluster.
pub(super) async fn connect(matches: &ArgMatches) -> Result<Replicas, Failure> {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let everywhere = matches.get_flag(ALL_NAMESPACES);
    let choice = ClusterChoice { kubeconfig: matches.get_one(KUBECONFIG).cloned(), context: given(CONTEXT) };
    let names_some = [TARGET, NAMESPACE, LABELS].into_iter().any(|name| given(name).is_some())
        || choice.is_made()
        || everywhere
        || matches.get_one::<u16>(PORT).is_some();
    if !names_some && (AdminClient::is_given(matches) || !is_plugin()) {
        return Ok(Replicas { list: local(matches)?, search: None });
    }
    let target = given(TARGET).map(|target| target.parse::<Target>()).transpose().map_err(Failure::Invalid)?;
    if let Some(namespace) = given(NAMESPACE).filter(|name| !is_name(name)) {
        return Err(Failure::Invalid(anyhow!("{namespace:?} is not the name of a namespace")));
    }
    let cluster = Cluster::connect(&choice).await.map_err(Failure::Invalid)?;
    let namespace = (!everywhere).then(|| given(NAMESPACE).unwrap_or_else(|| cluster.namespace.clone()));
    let query = Query { target, namespace, labels: given(LABELS), port: matches.get_one(PORT).copied() };
    let search = Search { client: cluster.client, query };
    Ok(Replicas { list: search.all().await?, search: Some(search) })
}

impl Replica {
    /// Returns its name for people: that of the pod, or the URL.
    pub(super) fn name(&self) -> String {
        self.pod.as_ref().map_or_else(|| self.client.url().to_owned(), |pod| pod.name.clone())
    }

    /// Returns the place and the name: the namespace and that of the release, or of the pod.
    pub(super) fn release(&self) -> (String, String) {
        let pod = self.pod.as_ref();
        let release = pod.map(|pod| pod.release.clone().unwrap_or_else(|| pod.name.clone()));
        (pod.map(|pod| pod.namespace.clone()).unwrap_or_default(), release.unwrap_or_default())
    }

    /// Asks for the status once.
    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        let status = self.client.status().await;
        status.map_err(|error| self.explained(error))
    }

    /// Returns what it answered, with its name.
    pub(super) fn answer(&self, status: anyhow::Result<Status>) -> Answer {
        let problem = status.as_ref().err().map(|error| format!("{error:#}"));
        let pod = self.pod.as_ref();
        Answer {
            pod: self.name(),
            namespace: pod.map(|pod| pod.namespace.clone()).unwrap_or_default(),
            node: pod.and_then(|pod| pod.node.clone()),
            leaving: pod.is_some_and(|pod| pod.is_leaving),
            problem,
            status: status.ok(),
        }
    }

    /// Asks for connections, with this path and query.
    pub(super) async fn connections(&self, path: &str) -> anyhow::Result<ConnectionPage> {
        let page = self.client.json(path).await;
        page.map_err(|error| self.explained(error))
    }

    /// Asks for the document at this path, and returns it as it is.
    pub(super) async fn document(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let document = self.client.bytes(path).await;
        document.map_err(|error| self.explained(error))
    }

    /// Opens the stream of statuses.
    pub(super) async fn stream(&self) -> anyhow::Result<StatusStream> {
        let stream = self.client.stream().await;
        stream.map_err(|error| self.explained(error))
    }

    /// Returns the next status of a stream; `None` when the server has ended it, which it does now and then.
    pub(super) async fn next(&self, stream: &mut StatusStream) -> anyhow::Result<Option<Status>> {
        let next = stream.next(&self.client).await;
        next.map_err(|error| self.explained(error))
    }

    /// Returns the reason of a failure: that of the forwarding, if it has one, since the other end of the forwarded port means
    /// nothing to people.
    fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let Some((pod, forward)) = self.pod.as_ref().zip(self.forward.as_ref()) else { return error };
        let Pod { namespace, name, port, phase, .. } = pod;
        let problem = forward.problem().unwrap_or_else(|| format!("{error:#}").replace(&forward.url(), "it"));
        let phase = if phase == "Running" { String::new() } else { format!(", which is {phase}") };
        anyhow!("no ilb can be reached at port {port} of pod {namespace}/{name}{phase}: {problem}")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/usr/local/bin/kubectl-ilb", true)]
    #[case("kubectl-ilb.exe", true)]
    #[case("./ilb", false)]
    #[case("kubectl-ilb-x", false)]
    fn kubectl_is_known_by_the_name_of_the_program(#[case] program: &str, #[case] expected: bool) {
        assert_eq!(is_plugin_name(Some(program.into())), expected);
    }
}
