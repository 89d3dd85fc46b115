//! `ilb status`: shows the state of a running ilb, or of several replicas together.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use super::{
    format::Format,
    output::{print, print_json},
    remote::{self, Replica},
    terminal,
    together::{Answer, Overview},
    view::{self, Room},
};
use crate::{
    exit::{Exit, Failure},
    observe::insight::Status,
    process::runtime::block_on,
};

/// Name of the flag that makes the exit code one of readiness alone.
const ALLOW_DEGRADED: &str = "allow-degraded";

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Show the state of a running ilb, or of several replicas together")
        .args(remote::flags())
        .arg(Format::flag())
        .arg(
            Arg::new(ALLOW_DEGRADED)
                .long(ALLOW_DEGRADED)
                .action(ArgAction::SetTrue)
                .help("Exit with 0 while that ilb is ready, also if it is degraded"),
        )
        .after_help("Example: ilb status -n my-namespace deploy/my-lb")
        .after_long_help(
            "Without a name, asks the ilb in the same pod. With a name, or one of the flags under Cluster, asks the pods of a \
             cluster: it forwards a port to each of them with the kubeconfig, which needs the rights to read pods and to \
             create pods/portforward. Several replicas are shown together, with the sum of their connections.\n\nExits with \
             3 if no replica is ready, which means that no pool is verified in its Traefik, and with 4 if one is degraded, \
             not ready or does not answer: clients may be hurt, for example because a pool has no ready backend.\n\n\
             Examples:\n  ilb status -n my-namespace deploy/my-lb\n  kubectl ilb status my-release -o json\n  \
             ilb status -A --context production\n  kubectl exec deploy/my-lb -c ilb -- ilb status\n  \
             ilb status --url http://10.0.0.7:8081 -o json",
        )
}

/// Document of several replicas.
#[derive(Serialize)]
struct Fleets<'a> {
    /// Version of this document.
    schema: u32,
    releases: Vec<Fleet<'a>>,
}

/// Replicas of one release.
#[derive(Serialize)]
struct Fleet<'a> {
    namespace: &'a str,
    release: &'a str,
    replicas: &'a [Answer],
    /// The status of all that have answered, merged: connections are sums, states are the worst ones.
    together: Option<Status>,
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let allows_degraded = matches.get_flag(ALLOW_DEGRADED);
    let format = Format::from_matches(matches);
    block_on(async {
        let replicas = remote::connect(matches).await?.list;
        // The whole status, also where the terminal has fewer lines.
        let room = Room { height: None, ..terminal::room() };
        if let [replica] = replicas.as_slice() {
            let status = replica.status().await?;
            match format {
                Format::Json => print_json(&status)?,
                Format::Table => print(&view::status(&status.clone().into(), room))?,
            }
            return Ok(exit(&status, allows_degraded));
        }
        let releases = ask(&replicas).await;
        let mut exits = Vec::new();
        let (mut texts, mut fleets) = (Vec::new(), Vec::new());
        for ((namespace, release), answers) in &releases {
            let overview = Overview::from_answers(answers);
            exits.push(overview.as_ref().map_or(Exit::Failed, |overview| exit(&overview.status, allows_degraded)));
            texts.push(match &overview {
                Some(overview) => view::status(overview, room),
                None => view::silence(&format!("release {release} in {namespace}"), answers, room),
            });
            fleets.push(Fleet {
                namespace,
                release,
                replicas: answers,
                together: overview.map(|overview| overview.status),
            });
        }
        match format {
            Format::Json => print_json(&Fleets { schema: 1, releases: fleets })?,
            Format::Table => print(&texts.join("\n"))?,
        }
        Ok(worst(&exits))
    })
}

/// Asks all replicas at the same time, and returns their answers by release.
async fn ask(replicas: &[Replica]) -> BTreeMap<(String, String), Vec<Answer>> {
    let answers = remote::ask(replicas).await;
    let mut releases: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (replica, answer) in replicas.iter().zip(answers) {
        releases.entry(replica.release()).or_default().push(answer);
    }
    releases
}

fn exit(status: &Status, allows_degraded: bool) -> Exit {
    match (status.ready, !status.degraded.is_empty() && !allows_degraded) {
        (false, _) => Exit::NotReady,
        (true, true) => Exit::Degraded,
        (true, false) => Exit::Done,
    }
}

/// Returns the worst of some exits: a release that does not answer, one that is not ready, one that is degraded.
fn worst(exits: &[Exit]) -> Exit {
    let worst = [Exit::Failed, Exit::NotReady, Exit::Degraded].into_iter().find(|exit| exits.contains(exit));
    worst.unwrap_or(Exit::Done)
}
