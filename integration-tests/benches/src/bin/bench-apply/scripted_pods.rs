//! An API server that plays a script: many pods, of which one after the other becomes not ready and ready again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ilb_testbed::{Net, Pods, pod_ip};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// An API server with pods, which answers lists and watches of pods and nothing else.
///
/// A real one cannot be had with ten thousand pods within seconds, and would share the processors with what is measured.
/// Its pods are about as large as those in production.
pub(crate) struct ScriptedPods {
    address: SocketAddr,
    script: Arc<Script>,
}

/// The pods, and how many of the changes have happened.
struct Script {
    pods: u16,
    changes: watch::Sender<u64>,
}

/// Version of the list before the first change.
const FIRST_VERSION: u64 = 1_000;
/// Largest number of pods that are not ready at a time.
const MAX_NOT_READY: u64 = 12;
/// Time after which a watch ends, as ilb asks for.
const WATCH_LIFETIME: Duration = Duration::from_secs(10);

impl ScriptedPods {
    /// Starts the server with `pods` pods, all of them ready.
    pub(crate) async fn start(pods: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Net::for_this_process()?.host()?, 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Script { pods, changes: watch::Sender::new(0) });
        let served = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // It ends with the connection, at the latest when the measured process does.
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Ok(Self { address, script })
    }

    /// Returns the text of a kubeconfig for this server.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "scripted", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "nobody"}}],
            "current-context": "scripted",
        })
        .to_string()
    }

    /// Changes one pod after the other, `per_second` of them, for as long as it is polled.
    pub(crate) async fn change(&self, per_second: u32) {
        let mut ticks = interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.script.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Returns the number of changes so far.
    pub(crate) fn changes(&self) -> u64 {
        *self.script.changes.borrow()
    }
}

impl Script {
    /// Returns the pod that the change with this number makes ready or not. By turns, one pod becomes not ready, and the
    /// one that has been so for longest ready again.
    fn change(&self, number: u64) -> (u64, bool) {
        let (turn, pods) = (number / 2, u64::from(self.pods));
        match (number.is_multiple_of(2), turn.checked_sub(MAX_NOT_READY.min(pods / 2))) {
            (false, Some(earlier)) => (earlier % pods, true),
            _ => (turn % pods, false),
        }
    }

    fn page(&self, begin: u64, limit: u64) -> Value {
        let end = (begin + limit).min(self.pods.into());
        let next = if end < u64::from(self.pods) { json!(end.to_string()) } else { json!("") };
        let items: Vec<_> = (begin..end).map(|index| pod(index, true, FIRST_VERSION)).collect();
        json!({"metadata": {"resourceVersion": FIRST_VERSION.to_string(), "continue": next}, "items": items})
    }

    fn event(&self, number: u64) -> String {
        let (index, ready) = self.change(number);
        let object = pod(index, ready, FIRST_VERSION + number + 1);
        json!({"type": "MODIFIED", "object": object}).to_string() + "\n"
    }
}

/// Answers requests on one connection: lists until a watch, which ends it.
async fn serve(stream: TcpStream, script: Arc<Script>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(target) = read_request(&mut stream).await? {
        let query = |name: &str| {
            let fields = target.split_once('?').map_or("", |(_, query)| query).split('&');
            let value = fields.filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name)?.1;
            value.parse::<u64>().ok()
        };
        if !target.contains("watch=true") {
            let list = script.page(query("continue").unwrap_or(0), query("limit").unwrap_or(u64::MAX)).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", list.len());
            stream.write_all((head + &list).as_bytes()).await?;
            continue;
        }
        // Without a length the answer lasts until the connection is closed.
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
        let sent = query("resourceVersion").unwrap_or(0).saturating_sub(FIRST_VERSION);
        return timeout(WATCH_LIFETIME, send_changes(&mut stream, &script, sent)).await.unwrap_or(Ok(()));
    }
    Ok(())
}

/// Sends each change after the first `sent` as soon as it happens. It ends only by an error.
async fn send_changes(stream: &mut BufReader<TcpStream>, script: &Script, mut sent: u64) -> std::io::Result<()> {
    let mut changes = script.changes.subscribe();
    loop {
        let happened = *changes.borrow_and_update();
        for number in sent..happened {
            stream.write_all(script.event(number).as_bytes()).await?;
        }
        sent = sent.max(happened);
        changes.changed().await.map_err(std::io::Error::other)?;
    }
}

/// Reads the head of a request. Returns its target; `None` at the end of the connection.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let (mut target, mut line) = (None, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match (line.trim_end(), &target) {
            ("", Some(_)) => return Ok(target),
            (first, None) => target = first.split(' ').nth(1).map(str::to_owned),
            _ => {}
        }
    }
}

fn pod(index: u64, ready: bool, version: u64) -> Value {
    let ip: IpAddr = pod_ip(u16::try_from(index).unwrap_or_default());
    let variables: Vec<_> = (0..12)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("the value of setting {n}")}))
        .collect();
    let (label, value) = Pods::SELECTOR.split_once('=').unwrap_or_default();
    json!({
        "metadata": {
            "name": format!("my-application-7d4b9c8f6d-{index:05}"),
            "namespace": "default",
            "uid": format!("00000000-0000-4000-8000-{index:012}"),
            "resourceVersion": version.to_string(),
            "labels": {label: value, "app.kubernetes.io/part-of": "my-application"},
        },
        "spec": {
            "nodeName": "node",
            "containers": [{
                "name": "database",
                "image": "images.example.com/team/database:1.2.3",
                "env": variables,
                "ports": [{"name": "sql", "containerPort": 5432}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5},
            }],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        },
    })
}
