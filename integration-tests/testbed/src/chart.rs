use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::Tools;

/// The Helm chart, and what a Helm makes of it.
#[derive(Clone, Debug)]
pub struct Chart {
    helm: PathBuf,
    folder: PathBuf,
    kubernetes: &'static str,
}

/// What Helm has made of the chart and some values.
#[derive(Debug)]
pub struct Rendered {
    /// As it was written.
    pub text: String,
    /// The objects in it.
    pub objects: Vec<Value>,
}

impl Chart {
    /// The name of every release.
    pub const RELEASE: &str = "my-lb";

    /// The namespace of every release.
    pub const NAMESPACE: &str = "apps";

    /// The chart of this checkout, for a current Kubernetes, with the Helm that most people have.
    pub fn new() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chart").canonicalize()?;
        Ok(Self { helm: Tools::of_charts("helm")?, folder, kubernetes: "1.34.0" })
    }

    /// With Helm 3.
    pub fn with_helm_3(self) -> anyhow::Result<Self> {
        Ok(Self { helm: Tools::of_charts("helm-3")?, ..self })
    }

    /// For this version of Kubernetes.
    #[must_use]
    pub fn on_kubernetes(self, kubernetes: &'static str) -> Self {
        Self { kubernetes, ..self }
    }

    /// Another folder with a chart in it.
    #[must_use]
    pub fn at(self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of its files.
    pub fn file(&self, path: &str) -> anyhow::Result<String> {
        let path = self.folder.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The examples of values, one per feature: their names and what is in them.
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

    /// What these values (YAML) make of it.
    pub fn render(&self, values: &str) -> anyhow::Result<Rendered> {
        let output = self.run("template", &[], values)?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{values}\n{}", String::from_utf8_lossy(&output.stderr));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| text.clone())?;
        Ok(Rendered { text, objects })
    }

    /// Why these values are refused.
    pub fn refusal(&self, values: &str) -> anyhow::Result<String> {
        let output = self.run("template", &[], values)?;
        ensure!(!output.status.success(), "these values are accepted: {values}");
        Ok(String::from_utf8(output.stderr)?)
    }

    /// What a person reads after an installation with these values.
    pub fn notes(&self, values: &str) -> anyhow::Result<String> {
        let version = self.kubernetes;
        // Without a cluster, so the version has to come from a template, which shows the notes only in this mode.
        let output = self.run("install", &["--dry-run=client"], values)?;
        ensure!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split_once("NOTES:\n").context("there are no notes")?.1.to_owned())
    }

    /// Complaints of `helm lint --strict`, or nothing.
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
        // Nobody's cluster is asked for anything.
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

impl Rendered {
    /// The only object of this kind, apart from those of `helm test`.
    pub fn only(&self, kind: &str) -> anyhow::Result<&Value> {
        match self.all(kind).as_slice() {
            [object] => Ok(object),
            objects => bail!("there are {} objects of the kind {kind}", objects.len()),
        }
    }

    /// The objects of this kind, apart from those of `helm test`.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind && !is_hook(object)).collect()
    }

    /// The objects of `helm test`.
    pub fn hooks(&self) -> Vec<&Value> {
        self.objects.iter().filter(|object| is_hook(object)).collect()
    }

    /// The template of the pods.
    pub fn pod(&self) -> anyhow::Result<&Value> {
        Ok(&self.only("Deployment")?["spec"]["template"])
    }

    /// One of the containers or init containers.
    pub fn container(&self, name: &str) -> anyhow::Result<&Value> {
        let spec = &self.pod()?["spec"];
        let lists = [&spec["initContainers"], &spec["containers"]];
        let mut containers = lists.iter().filter_map(|list| list.as_array()).flatten();
        containers.find(|container| container["name"] == name).with_context(|| format!("no container {name}"))
    }

    /// A file (YAML) in one of the maps of settings.
    pub fn file(&self, name: &str) -> anyhow::Result<Value> {
        let maps = self.all("ConfigMap");
        let mut files = maps.iter().filter_map(|map| map["data"][name].as_str());
        Ok(serde_saphyr::from_str(files.next().with_context(|| format!("no file {name}"))?)?)
    }
}

fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"].get("helm.sh/hook").is_some()
}
