//! The statuses of the replicas as they change, and the replicas as they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context;
use futures_util::future::{join_all, pending};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use crate::{
    cli::{
        admin_client::StatusStream,
        remote::{Pod, Replica, Replicas, Search},
        together::{Answer, Overview},
    },
    exit::Failure,
    observe::insight::Status,
};

/// Pause before a stream that has ended is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Time between two searches for replicas.
const SEARCH_PERIOD: Duration = Duration::from_secs(5);

/// Statuses of all replicas as they change.
pub(super) struct Feed {
    /// Name of what is shown: a URL or a release.
    pub(super) title: String,
    news: mpsc::Receiver<News>,
    /// The last answer of each replica, by the name of its pod.
    answers: BTreeMap<String, Answer>,
    follower: JoinHandle<()>,
}

/// State that is shown.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// The last known status.
    pub(super) overview: Option<Overview>,
    /// Reason why there is no newer one.
    pub(super) problem: Option<String>,
}

/// Change of what is shown.
enum News {
    Answer(Box<Answer>),
    /// The pod of this name exists no longer.
    Gone(String),
}

impl Feed {
    /// Opens the streams of all replicas. Fails if none answers, and if they are not of one release.
    pub(super) async fn start(replicas: Replicas) -> Result<Self, Failure> {
        let releases: BTreeSet<_> = replicas.list.iter().map(Replica::release).collect();
        if releases.len() > 1 {
            let names: Vec<_> = releases.iter().map(|(namespace, name)| format!("-n {namespace} {name}")).collect();
            return Err(Failure::Invalid(anyhow::anyhow!(
                "these are {} releases, and a screen shows one: give one of {}",
                names.len(),
                names.join(", ")
            )));
        }
        let streams = join_all(replicas.list.iter().map(Replica::stream)).await;
        let title = match releases.first() {
            Some((namespace, release)) if !release.is_empty() => format!("{namespace}/{release}"),
            _ => replicas.list.first().map(Replica::name).unwrap_or_default(),
        };
        if streams.iter().all(Result::is_err) {
            let first = streams.into_iter().find_map(Result::err).context("no ilb answers");
            return Err(Failure::Failed(first.unwrap_or_else(|error| error)));
        }
        let (sender, news) = mpsc::channel(8);
        let started = replicas.list.into_iter().zip(streams.into_iter().map(Result::ok));
        let tasks = started.map(|(replica, stream)| Task::start(replica, stream, &sender)).collect();
        let follower = tokio::spawn(follow(tasks, replicas.search, sender));
        Ok(Self { title, news, answers: BTreeMap::new(), follower })
    }

    /// Waits for a change, and returns the state after it. Can be cancelled.
    pub(super) async fn next(&mut self) -> Latest {
        match self.news.recv().await {
            None => return pending().await,
            Some(News::Gone(pod)) => drop(self.answers.remove(&pod)),
            Some(News::Answer(mut answer)) => {
                if answer.status.is_none() && self.answers.len() <= 1 {
                    // Of a single replica, the last known status is shown.
                    answer.status = self.answers.remove(&answer.pod).and_then(|last| last.status);
                }
                self.answers.insert(answer.pod.clone(), *answer);
            }
        }
        let answers: Vec<_> = self.answers.values().cloned().collect();
        let problem = match answers.as_slice() {
            [only] => only.problem.clone(),
            several => several.iter().all(|answer| answer.status.is_none()).then(|| "no replica answers".to_owned()),
        };
        Latest { overview: Overview::from_answers(&answers), problem }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Task that reports the statuses of a replica. Dropping it ends it.
struct Task {
    pod: Option<Pod>,
    handle: JoinHandle<()>,
}

impl Task {
    fn start(replica: Replica, stream: Option<StatusStream>, news: &mpsc::Sender<News>) -> Self {
        let (pod, news) = (replica.pod.clone(), news.clone());
        Self { pod, handle: tokio::spawn(report(replica, stream, news)) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Starts a task for each replica that comes, and ends those of the ones that go.
async fn follow(mut tasks: Vec<Task>, search: Option<Search>, news: mpsc::Sender<News>) {
    let Some(search) = search else { return pending().await };
    loop {
        sleep(SEARCH_PERIOD).await;
        // While there is no list, the replicas that are known stay.
        let Ok(pods) = search.pods().await else { continue };
        let known: Vec<_> = tasks.iter().filter_map(|task| task.pod.clone()).collect();
        // A pod that has changed, because it begins to drain or to run, is asked anew.
        tasks.retain(|task| task.pod.as_ref().is_some_and(|pod| pods.contains(pod)));
        for gone in known.iter().filter(|pod| !pods.iter().any(|one| one.name == pod.name)) {
            let _ = news.send(News::Gone(gone.name.clone())).await;
        }
        for pod in pods.into_iter().filter(|pod| !known.contains(pod)) {
            if let Ok(replica) = search.open(pod).await {
                tasks.push(Task::start(replica, None, &news));
            }
        }
    }
}

/// Reports each status of a replica, and each failure to get one.
async fn report(replica: Replica, mut stream: Option<StatusStream>, news: mpsc::Sender<News>) {
    loop {
        let status = next(&replica, &mut stream).await;
        if news.send(News::Answer(Box::new(replica.answer(status)))).await.is_err() {
            return;
        }
    }
}

/// Returns the next status. After an error or the end of the stream, the next call pauses and opens the stream again.
async fn next(replica: &Replica, stream: &mut Option<StatusStream>) -> anyhow::Result<Status> {
    loop {
        let Some(open) = stream else {
            sleep(RECONNECT_PAUSE).await;
            *stream = Some(replica.stream().await?);
            continue;
        };
        match replica.next(open).await {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => *stream = None,
            Err(error) => {
                *stream = None;
                return Err(error);
            }
        }
    }
}
