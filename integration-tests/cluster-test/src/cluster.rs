//! A real one-node Kubernetes, run by the scripts in `testbed/cluster`.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use ilb_testbed::{eventually, in_checkout};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::family::Family;

/// A whole Kubernetes on this machine, which ends with this process, however this process ends.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    family: Family,
    holder: Child,
}

impl Cluster {
    /// Starts a cluster with these images on its node, and shows progress. The logs of its daemons are left in `logs`.
    pub(crate) fn start(images: &[PathBuf], logs: &Path, family: Family) -> anyhow::Result<Self> {
        let folder = env::temp_dir().join(format!("ilb-cluster-{}-{}", std::process::id(), family.name()));
        let mut holder = Command::new(script("hold"))
            .arg(&folder)
            .args(images)
            .env("HOLD_LOGS", logs)
            .env("ILB_CLUSTER_FAMILY", family.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run testbed/cluster/hold")?;
        let lines = BufReader::new(holder.stdout.take().context("no output")?).lines();
        // From here on, dropping it ends everything that has been started.
        let cluster = Self { folder, family, holder };
        for line in lines {
            match line?.as_str() {
                "ready" => return Ok(cluster),
                "failed" => break,
                progress => println!("  cluster {progress}"),
            }
        }
        bail!("the cluster does not start; the logs of its components are in {}", logs.display())
    }

    /// Ends the cluster and checks that nothing is left behind.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        drop(self.holder.stdin.take());
        ensure!(self.holder.wait()?.success(), "something of the cluster was left behind");
        Ok(())
    }

    /// Returns which addresses the cluster has.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Returns the folder of the cluster, which its scripts take as an argument.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a line of shell in the checkout, with a kubeconfig. Returns its output.
    pub(crate) fn shell(&self, line: &str) -> anyhow::Result<String> {
        self.run(&["bash", "-o", "pipefail", "-c", line], line)
    }

    /// Runs kubectl. Returns its output.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let command = [&["kubectl"], arguments].concat();
        self.run(&command, &command.join(" "))
    }

    /// Runs `kubectl get` with these arguments. Returns its output, parsed from JSON.
    pub(crate) fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Creates or changes objects.
    pub(crate) fn apply(&self, objects: &[Value]) -> anyhow::Result<()> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.shell(&format!("kubectl apply -f - <<'EOF'\n{list}\nEOF")).map(drop)
    }

    /// Sends an order to the agent in a pod. Returns its answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, target: &str, order: &str) -> anyhow::Result<T> {
        let order: Vec<_> = order.split(' ').collect();
        let answer = self.kubectl(&[&["exec", target, "--", "/agent", "ask"], &order[..]].concat())?;
        serde_json::from_str(&answer).with_context(|| format!("the client answered {order:?} with {answer}"))
    }

    /// Tries to connect to `address` from a pod with the agent. Returns the outcome: `connected`, `connection refused`, `no
    /// answer` or another error.
    pub(crate) fn reach(&self, namespace: &str, pod: &str, address: &str) -> anyhow::Result<String> {
        let answer = self.kubectl(&["exec", "-n", namespace, pod, "--", "/agent", "try", address])?;
        Ok(answer.trim().to_owned())
    }

    /// Waits until no object in the namespace `default` has this label any more.
    pub(crate) async fn wait_until_removed(&self, kinds: &str, selector: &str) -> anyhow::Result<()> {
        eventually(&format!("no {kinds} with {selector} are left"), async || {
            let left = self.kubectl(&["get", kinds, "-l", selector, "-o", "name"])?;
            ensure!(left.trim().is_empty(), "still there: {left}");
            Ok(())
        })
        .await
    }

    fn run(&self, command: &[&str], name: &str) -> anyhow::Result<String> {
        let output = Command::new(script("in"))
            .arg(&self.folder)
            .args(command)
            .current_dir(in_checkout("."))
            .stdin(Stdio::null())
            .output()
            .context("cannot run testbed/cluster/in")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{name}` failed:\n{text}{errors}");
        Ok(text)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Returns the path of a script of the cluster.
pub(crate) fn script(name: &str) -> PathBuf {
    in_checkout("integration-tests/testbed/cluster").join(name)
}
