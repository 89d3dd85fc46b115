use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, ensure};

/// Where the programs of the testbed are.
#[derive(Debug)]
pub struct Tools(HashMap<String, PathBuf>);

impl Tools {
    /// Prepares all of them if need be (which is shown), else finds them.
    pub fn get() -> anyhow::Result<&'static Self> {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        if let Some(tools) = TOOLS.get() {
            return Ok(tools);
        }
        let tools = Self::prepare(&[])?;
        Ok(TOOLS.get_or_init(|| tools))
    }

    /// The path of one version of Traefik, which is prepared if need be.
    pub fn traefik(version: &str) -> anyhow::Result<PathBuf> {
        let name = format!("traefik-{version}");
        Ok(Self::prepare(&[&name])?.path(&name)?.to_owned())
    }

    /// The paths of a browser and of its driver, which are installed if need be.
    pub fn browser() -> anyhow::Result<(PathBuf, PathBuf)> {
        let tools = Self::prepare(&["chromium", "chromedriver"])?;
        Ok((tools.path("chromium")?.to_owned(), tools.path("chromedriver")?.to_owned()))
    }

    /// The paths of HAProxy and of nginx, which are installed if need be.
    pub fn peers() -> anyhow::Result<(PathBuf, PathBuf)> {
        let tools = Self::prepare(&["haproxy", "nginx"])?;
        Ok((tools.path("haproxy")?.to_owned(), tools.path("nginx")?.to_owned()))
    }

    /// The path of Helm (`helm`, `helm-3`) or of what writes its documents (`helm-docs`), which is built if need be.
    pub fn of_charts(name: &str) -> anyhow::Result<PathBuf> {
        Ok(Self::prepare(&[name])?.path(name)?.to_owned())
    }

    /// Those with these names, or all that most tests need.
    fn prepare(names: &[&str]) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("prepare");
        let output = Command::new(&script)
            .args(names)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(output.status.success(), "the testbed is not ready: see what {} said above", script.display());
        let text = String::from_utf8(output.stdout)?;
        let tool = |line: &str| line.split_once('=').map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        Ok(Self(text.lines().filter_map(tool).collect()))
    }

    /// The path of one program.
    pub fn path(&self, tool: &str) -> anyhow::Result<&Path> {
        self.0.get(tool).map(PathBuf::as_path).with_context(|| format!("the testbed has no {tool}"))
    }
}
