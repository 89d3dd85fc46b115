//! The Helm chart, rendered by a real Helm.

use std::{
    collections::HashMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{in_checkout, tools};

/// A Helm chart, the Helm that renders it, and the version of Kubernetes that it is rendered for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chart {
    helm: PathBuf,
    is_helm_3: bool,
    folder: PathBuf,
    kubernetes: &'static str,
}

/// The objects that Helm makes of the chart and some values.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Output of Helm.
    pub text: String,
    /// Objects in the output.
    pub objects: Vec<Value>,
}

impl Chart {
    /// The name of every release.
    pub const RELEASE: &str = "my-lb";

    /// The namespace of every release.
    pub const NAMESPACE: &str = "apps";

    /// Returns the chart of this checkout, for the Kubernetes of the testbed, with Helm 4.
    pub fn new() -> anyhow::Result<Self> {
        let folder = in_checkout("chart").canonicalize()?;
        Ok(Self { helm: tools::path("helm")?, is_helm_3: false, folder, kubernetes: kubernetes() })
    }

    /// Takes Helm 3 instead.
    pub fn with_helm_3(self) -> anyhow::Result<Self> {
        Ok(Self { helm: tools::path("helm-3")?, is_helm_3: true, ..self })
    }

    /// Returns whether Helm 3 renders this.
    pub fn is_helm_3(&self) -> bool {
        self.is_helm_3
    }

    /// Sets the version of Kubernetes.
    #[must_use]
    pub fn on_kubernetes(self, kubernetes: &'static str) -> Self {
        Self { kubernetes, ..self }
    }

    /// Takes the chart in another folder.
    #[must_use]
    pub fn at(self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self }
    }

    /// Returns the folder of the chart.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a file of the chart.
    pub fn file(&self, path: &str) -> anyhow::Result<String> {
        let path = self.folder.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Reads the examples of values in `ci`, one per feature. Returns names and contents.
    pub fn features(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut features = Vec::new();
        for file in fs::read_dir(self.folder.join("ci"))? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix("-values.yaml"));
            let name = name.with_context(|| format!("{} is no file of values", path.display()))?;
            features.push((name.to_owned(), fs::read_to_string(&path)?));
        }
        ensure!(!features.is_empty(), "there are no examples of values");
        features.sort();
        Ok(features)
    }

    /// Renders the chart with these values (YAML).
    ///
    /// The result is kept, because many tests render every example.
    pub fn render(&self, values: &str) -> anyhow::Result<Rendered> {
        static KEPT: Mutex<Option<HashMap<(Chart, String), Rendered>>> = Mutex::new(None);
        let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.clone(), values.to_owned());
        if let Some(rendered) = kept().get_or_insert_default().get(&key) {
            return Ok(rendered.clone());
        }
        let rendered = self.run_template(&[], values)?;
        kept().get_or_insert_default().insert(key, rendered.clone());
        Ok(rendered)
    }

    /// Renders the chart; `None` if it refuses these values because they need a newer Kubernetes than the older one that a run of
    /// the matrix of versions has.
    pub fn render_unless_too_old(&self, values: &str) -> anyhow::Result<Option<Rendered>> {
        match self.render(values) {
            Err(error) if self.kubernetes != KUBERNETES && format!("{error:#}").contains("needs Kubernetes 1.") => {
                Ok(None)
            }
            rendered => rendered.map(Some),
        }
    }

    /// Renders the chart with these options and these values (YAML).
    pub fn render_with(&self, options: &[&str], values: &str) -> anyhow::Result<Rendered> {
        self.run_template(options, values)
    }

    fn run_template(&self, options: &[&str], values: &str) -> anyhow::Result<Rendered> {
        let output = self.run("template", options, values)?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{values}\n{}", String::from_utf8_lossy(&output.stderr));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| text.clone())?;
        Ok(Rendered { text, objects })
    }

    /// Returns Helm's error for these values; an error if they are accepted.
    pub fn refusal(&self, values: &str) -> anyhow::Result<String> {
        let output = self.run("template", &[], values)?;
        ensure!(!output.status.success(), "these values are accepted: {values}");
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Returns the notes that Helm prints after an installation with these values.
    pub fn notes(&self, values: &str) -> anyhow::Result<String> {
        let version = self.kubernetes;
        // Only this mode shows the notes without a cluster.
        let output = self.run("install", &["--dry-run=client"], values)?;
        ensure!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split_once("NOTES:\n").context("there are no notes")?.1.to_owned())
    }

    /// Returns a release of this chart, called [`RELEASE`](Self::RELEASE), in a namespace of a real cluster. It is not
    /// installed yet.
    pub fn release(&self, kubeconfig: PathBuf, namespace: &str) -> Release {
        Release { chart: self.clone(), kubeconfig, namespace: namespace.to_owned(), name: Self::RELEASE.to_owned() }
    }

    /// Packs the chart. Returns the names of the files in the package.
    pub fn package(&self) -> anyhow::Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let mut pack = Command::new(&self.helm);
        pack.env("KUBECONFIG", "/dev/null").arg("package").arg(&self.folder).arg("--destination").arg(folder.path());
        let output = self.finish(&mut pack, "")?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        let package = fs::read_dir(folder.path())?.next().context("there is no package")??.path();
        let output = Command::new("tar").arg("--list").arg("--file").arg(package).output()?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Runs `helm lint --strict`. Returns an error with what it finds.
    pub fn lint(&self, values: &str) -> anyhow::Result<()> {
        let output = self.finish(
            self.command("lint").args(["--strict", "--kube-version", self.kubernetes]).arg(&self.folder),
            values,
        )?;
        ensure!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        Ok(())
    }

    fn run(&self, what: &str, options: &[&str], values: &str) -> anyhow::Result<Output> {
        let mut command = self.command(what);
        command.arg(Self::RELEASE).arg(&self.folder).args(options);
        if what == "template" {
            command.args(["--kube-version", self.kubernetes]);
        }
        self.finish(&mut command, values)
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.helm);
        // Helm must not contact a cluster of the user's.
        command.env("KUBECONFIG", "/dev/null").args([what, "--namespace", Self::NAMESPACE, "--values", "-"]);
        command
    }

    fn finish(&self, command: &mut Command, values: &str) -> anyhow::Result<Output> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.helm.display()))?;
        child.stdin.take().context("no stdin")?.write_all(values.as_bytes())?;
        Ok(child.wait_with_output()?)
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Version of Kubernetes that the chart is rendered for, where a test does not choose another one.
const KUBERNETES: &str = "1.34.0";

/// Variable with the version of Kubernetes of the API server, where it is not that of the testbed.
const KUBERNETES_VARIABLE: &str = "ILB_TESTBED_KUBERNETES";

/// Returns the version of Kubernetes of which the API server is.
fn kubernetes() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| env::var(KUBERNETES_VARIABLE).unwrap_or_else(|_| KUBERNETES.to_owned()))
}

/// A release of the chart in a real cluster, or a plan for one.
#[derive(Clone, Debug)]
pub struct Release {
    chart: Chart,
    kubeconfig: PathBuf,
    namespace: String,
    name: String,
}

impl Release {
    /// Takes another name than [`Chart::RELEASE`].
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Takes another chart or another Helm from now on.
    #[must_use]
    pub fn with(self, chart: Chart) -> Self {
        Self { chart, ..self }
    }

    /// Installs the chart with these values (YAML).
    pub fn install(&self, values: &str) -> anyhow::Result<String> {
        self.helm("install", &[], values)
    }

    /// Upgrades to the chart with these values (YAML) and nothing of the earlier ones.
    pub fn upgrade(&self, values: &str) -> anyhow::Result<String> {
        self.helm("upgrade", &["--reset-values"], values)
    }

    /// Upgrades to the chart with these options and these additional values (YAML).
    pub fn upgrade_with(&self, options: &[&str], values: &str) -> anyhow::Result<String> {
        self.helm("upgrade", options, values)
    }

    /// Removes the release.
    pub fn uninstall(&self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.chart.helm);
        command.args(["uninstall", &self.name, "--namespace", &self.namespace]);
        self.finish(&mut command, "").map(drop)
    }

    /// Goes back to a revision.
    pub fn rollback(&self, revision: u32) -> anyhow::Result<()> {
        let mut command = Command::new(&self.chart.helm);
        command.args(["rollback", &self.name, &revision.to_string(), "--namespace", &self.namespace]);
        self.finish(&mut command, "").map(drop)
    }

    fn helm(&self, what: &str, options: &[&str], values: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&self.chart.helm);
        command.args([what, &self.name]).arg(&self.chart.folder).args(options);
        command.args(["--namespace", &self.namespace, "--values", "-"]);
        self.finish(&mut command, values)
    }

    /// Returns what Helm prints, or an error with its messages.
    fn finish(&self, command: &mut Command, input: &str) -> anyhow::Result<String> {
        command.env("KUBECONFIG", &self.kubeconfig);
        let output = self.chart.finish(command, input)?;
        ensure!(output.status.success(), "{input}\n{}", text(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Rendered {
    /// Returns the only object of this kind, apart from those of `helm test`.
    pub fn only(&self, kind: &str) -> anyhow::Result<&Value> {
        match self.all(kind).as_slice() {
            [object] => Ok(object),
            objects => bail!("there are {} objects of the kind {kind}", objects.len()),
        }
    }

    /// Returns the objects of this kind, apart from those of `helm test`.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind && !is_hook(object)).collect()
    }

    /// Returns the objects of `helm test`.
    pub fn hooks(&self) -> Vec<&Value> {
        self.objects.iter().filter(|object| is_hook(object)).collect()
    }

    /// Returns the Deployment or the `DaemonSet`.
    pub fn workload(&self) -> anyhow::Result<&Value> {
        self.only("Deployment").or_else(|_| self.only("DaemonSet"))
    }

    /// Returns the template of the pods.
    pub fn pod(&self) -> anyhow::Result<&Value> {
        Ok(&self.workload()?["spec"]["template"])
    }

    /// Returns a container or an init container.
    pub fn container(&self, name: &str) -> anyhow::Result<&Value> {
        let spec = &self.pod()?["spec"];
        let lists = [&spec["initContainers"], &spec["containers"]];
        let mut containers = lists.iter().filter_map(|list| list.as_array()).flatten();
        containers.find(|container| container["name"] == name).with_context(|| format!("no container {name}"))
    }

    /// Parses a file (YAML) in one of the config maps.
    pub fn file(&self, name: &str) -> anyhow::Result<Value> {
        let maps = self.all("ConfigMap");
        let mut files = maps.iter().filter_map(|map| map["data"][name].as_str());
        Ok(serde_saphyr::from_str(files.next().with_context(|| format!("no file {name}"))?)?)
    }
}

fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"].get("helm.sh/hook").is_some()
}
