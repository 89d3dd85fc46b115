//! `ilb check`: checks the settings and shows the effective ones, or looks at the cluster that they are for.

mod backends;
mod cluster;
mod finding;
mod host;
mod release;

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use self::finding::{Check, Findings, Level};
use super::{
    format::Format,
    inputs,
    output::{print, print_json},
    remote,
    together::Answer,
};
use crate::{
    exit::{Exit, Failure},
    process::{
        logging::{Log, LogOptions},
        runtime::block_on,
    },
    settings::{Backends, Settings},
    wiring::{Cluster, PoolFactory, TraefikClients, check_admission, survey_traefik},
};

const CLUSTER: &str = "cluster";
const PRE: &str = "pre";
/// Flag of the setting `instance.release`.
const RELEASE: &str = "release";
const WAIT: &str = "wait";

/// Pause between two looks at the cluster while it is waited for.
const WAIT_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn command() -> Command {
    let namespace = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("NAMESPACE")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("")
            .help(help)
    };
    Command::new("check")
        .about("Check the settings and show the effective ones, or with --cluster look at the cluster that they are for")
        .arg(Format::flag())
        .arg(namespace(CLUSTER, "Look at the cluster and at the ilb in this namespace [default: that of the pod or context]"))
        .arg(namespace(PRE, "Look at the cluster before an installation into this namespace").conflicts_with(CLUSTER))
        .arg(
            Arg::new(WAIT)
                .long(WAIT)
                .value_name("SECONDS")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("300")
                .value_parser(clap::value_parser!(u64))
                .help("Look again until nothing fails, for at most this time [default: 300]"),
        )
        .arg(
            Arg::new("strict")
                .long("strict")
                .action(ArgAction::SetTrue)
                .help("Exit with 1 on warnings, too"),
        )
        .args(inputs::flags())
        .after_help("Example: ilb check --config ilb.yaml")
        .after_long_help(
            "Without --cluster and --pre, nothing is connected to.\n\nWith them, each check is OK, a warning or a failure, with \
             a sentence and a link to what to do: the API server and its version, the namespaces, the rights of this account, \
             the Service, the backends and why some are left out, their port, Traefik, its version and entry points, the \
             kernel, the replicas, their disruption budget and grace period, and what each says of itself. In the pod of ilb \
             it looks at that pod; elsewhere at the release that --release names, through forwarded ports, and without other \
             settings by those of that release. Exits with 1 if \
             a check fails.\n\nExamples:\n  ilb check --config ilb.yaml\n  ilb check --pre=my-namespace --selector app=my-app\n  \
             ilb check --cluster=my-namespace --release my-lb --wait\n  kubectl exec deploy/my-lb -c ilb -- ilb check --cluster",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let place = [CLUSTER, PRE].into_iter().find_map(|name| matches.get_one::<String>(name));
    if place.is_some() {
        let log = Log::start(&LogOptions::errors_only())?;
        let result = block_on(look(matches));
        log.flush();
        return result;
    }
    let settings = Settings::load(&inputs::from_matches(matches))?;
    match Format::from_matches(matches) {
        Format::Json => print_json(&settings.effective)?,
        Format::Table => print(&settings.table())?,
    }
    for variable in &settings.ignored {
        let _ = writeln!(io::stderr(), "ilb: {variable}");
    }
    Ok(Exit::Done)
}

/// Document of the findings.
#[derive(Serialize)]
struct Report<'a> {
    /// Version of this document.
    schema: u32,
    /// The worst level.
    level: Level,
    checks: &'a Findings,
}

/// Looks at the cluster, again and again if that is wanted, and prints what was found at last.
async fn look(matches: &ArgMatches) -> Result<Exit, Failure> {
    let wait = matches.get_one::<u64>(WAIT).copied().unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(wait.min(24 * 3600));
    let findings = loop {
        let findings = Look::from_matches(matches).await?.findings().await;
        if findings.worst() < Level::Failure || Instant::now() + WAIT_PAUSE > until {
            break findings;
        }
        sleep(WAIT_PAUSE).await;
    };
    let level = findings.worst();
    match Format::from_matches(matches) {
        Format::Json => print_json(&Report { schema: 1, level, checks: &findings })?,
        Format::Table => print(&findings.text())?,
    }
    let is_bad = level == Level::Failure || (level == Level::Warning && matches.get_flag("strict"));
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

/// A look at a cluster.
struct Look<'a> {
    matches: &'a ArgMatches,
    settings: Settings,
    cluster: Cluster,
    /// Namespace of ilb.
    namespace: String,
    /// Release in it, if one is known.
    release: Option<String>,
    is_before_installation: bool,
    /// True in a pod, where the backends and Traefik are reached as ilb reaches them.
    is_inside: bool,
}

impl<'a> Look<'a> {
    async fn from_matches(matches: &'a ArgMatches) -> Result<Self, Failure> {
        let inputs = inputs::from_matches(matches);
        let cluster = Cluster::connect(&inputs.cluster).await.map_err(Failure::Invalid)?;
        let given = |name: &str| matches.get_one::<String>(name).filter(|value| !value.is_empty()).cloned();
        let (is_inside, namespace) = (cluster.is_own, given(CLUSTER).or_else(|| given(PRE)));
        let namespace = namespace.unwrap_or_else(|| cluster.namespace.clone());
        let release = given(RELEASE);
        let settings = match (&release, inputs.is_empty()) {
            (Some(release), true) => {
                let text = release::settings(&cluster.client, &namespace, release).await?;
                Settings::from_text(&crate::settings::Inputs { file: Some("ilb.yaml".into()), ..inputs }, Ok(text))?
            }
            _ => Settings::load(&inputs)?,
        };
        let release = release.or_else(|| settings.instance.release.clone().filter(|_| is_inside));
        let is_before_installation = matches.contains_id(PRE);
        Ok(Self { matches, settings, cluster, namespace, release, is_before_installation, is_inside })
    }

    /// Makes all checks. Those that need an answer of the API server are left out if it does not answer.
    async fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        let Self { settings, cluster, namespace, .. } = self;
        let has_api = cluster::api_server(cluster, &mut findings).await;
        if has_api {
            cluster::namespaces(cluster, settings, (namespace, self.is_before_installation), &mut findings).await;
            if self.is_before_installation {
                let rights = cluster::installing(namespace);
                cluster::rights(&cluster.client, Check::InstallRights, &rights, "the chart", &mut findings).await;
            }
            self.admission(&mut findings).await;
            let rights = cluster::needed(settings, namespace);
            cluster::rights(&cluster.client, Check::Rights, &rights, "ilb", &mut findings).await;
        }
        let traefik = TraefikClients::from_settings(&settings.traefik);
        let factory = PoolFactory::new(traefik.ok().and_then(|traefik| traefik.single), false);
        let factory = factory.with_cluster(settings.cluster.clone());
        if has_api || settings.pools.iter().all(|pool| matches!(pool.backends, Backends::File(_))) {
            let place = backends::Place {
                namespace,
                is_inside: self.is_inside,
                is_before_installation: self.is_before_installation,
            };
            backends::backends(has_api.then_some(cluster), &factory, settings, place, &mut findings).await;
        }
        if self.is_before_installation {
            return findings;
        }
        if self.is_inside || self.release.is_none() {
            for (name, survey) in survey_traefik(&settings.traefik).await {
                host::traefik(&name, survey, settings, &mut findings);
            }
            host::kernel(&mut findings).await;
        }
        if let Some(release) = self.release.as_ref().filter(|_| has_api) {
            release::objects(cluster, namespace, release, &mut findings).await;
        }
        match self.answers().await {
            Ok(answers) => release::running(&answers, &mut findings),
            Err(error) => findings.failure(Check::Running, format!("no running ilb was found: {error:#}")),
        }
        findings
    }

    async fn admission(&self, findings: &mut Findings) {
        match check_admission(&self.settings, &self.cluster.client, &self.namespace).await {
            Ok(found) => {
                findings.push(Check::Admission, if found.is_known { Level::Ok } else { Level::Warning }, found.text);
            }
            Err(error) => findings.failure(Check::Admission, format!("{error:#}")),
        }
    }

    /// Asks the replicas of the release for their status, or in a pod without a known one the ilb of that pod.
    async fn answers(&self) -> anyhow::Result<Vec<Answer>> {
        let replicas = match &self.release {
            Some(release) if !self.is_inside => remote::of_release(&self.cluster, &self.namespace, release).await,
            _ => remote::local(self.matches),
        };
        let replicas = replicas.map_err(Failure::into_error)?;
        Ok(remote::ask(&replicas).await)
    }
}
