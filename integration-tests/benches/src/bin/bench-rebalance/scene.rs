//! Traefik, ilb and the closer, each a process of its own.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::ensure;
use ilb_benches::processor_time::seconds_of;
use ilb_testbed::{CloserProcess, Ilb, Privileges, Process, Traefik, eventually};
use tempfile::TempDir;

use crate::{
    backend::{self, NETWORK, PORT},
    scenario::{Case, Contender},
};

/// Traefik and ilb, with the closer where connections are closed by ilb.
#[derive(Debug)]
pub(crate) struct Scene {
    traefik: Traefik,
    ilb: Ilb,
    closer: Option<CloserProcess>,
    folder: TempDir,
}

/// Processor time of the processes of a scene, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessorSeconds {
    pub(crate) ilb: f64,
    pub(crate) closer: f64,
}

/// Time for which ilb waits after a change of the backends. The default of 60 s only makes the bench longer.
pub(crate) const SETTLE: &str = "2s";

impl Scene {
    /// Starts everything, with the first backends of the scenario in force.
    pub(crate) async fn start(case: &Case) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-rebalance-").tempdir()?;
        write_backends(folder.path(), case.scenario.before)?;
        let traefik = Traefik::start().await?;
        let file = folder.path().join("backends.yaml").display().to_string();
        let (url, rate) = (traefik.rest_url(), case.rate.to_string());
        let mut settings = vec![("ILB_BACKENDS_FILE", file.as_str()), ("TRAEFIK_API_URL", &url)];
        let (ilb, closer) = match case.contender {
            Contender::ByAge => (Ilb::start(&settings)?, None),
            Contender::Ilb => {
                // The rate is that of ilb; the closer's own limit leaves some room for the beginnings of seconds.
                let limits = [
                    format!("--max-rate={}", case.rate + 10),
                    format!("--networks={NETWORK}"),
                    format!("--ports={PORT}"),
                    format!("--entry-ports={}", traefik.entry_point().port()),
                    "--log-level=info".to_owned(), // as by default
                ];
                let flags: Vec<_> = limits.iter().map(String::as_str).collect();
                let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &flags).await?;
                let socket = closer.socket().display().to_string();
                settings.extend([
                    ("ILB_CLOSER_SOCKET", socket.as_str()),
                    ("ILB_CLOSING_REBALANCE_ENABLED", "true"),
                    ("ILB_CLOSING_REBALANCE_RATE", "100%"),
                    ("ILB_CLOSING_REBALANCE_MAX_RATE", &rate),
                    ("ILB_CLOSING_REBALANCE_MIN_AGE", "0s"),
                    ("ILB_CLOSING_SETTLE", SETTLE),
                ]);
                let ilb = Ilb::start(&settings)?;
                ilb.wait_for_log("The closer can close connections").await?;
                (ilb, Some(closer))
            }
        };
        let scene = Self { traefik, ilb, closer, folder };
        eventually("the first backends are in force", async || {
            let backends = scene.traefik.weights().await?.len();
            ensure!(backends == case.scenario.before, "{backends} are");
            Ok(())
        })
        .await?;
        Ok(scene)
    }

    /// Returns the address that clients connect to.
    pub(crate) fn entry(&self) -> SocketAddr {
        self.traefik.entry_point()
    }

    /// Adds the other backends.
    pub(crate) fn scale_out(&self, case: &Case) -> anyhow::Result<()> {
        write_backends(self.folder.path(), case.scenario.after)
    }

    /// Returns the processor time so far.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<ProcessorSeconds> {
        let of = |process: &Process| seconds_of(&process.id().to_string());
        let closer = self.closer.as_ref().map_or(Ok(0.0), |closer| of(closer.process()))?;
        Ok(ProcessorSeconds { ilb: of(self.ilb.process())?, closer })
    }

    /// Returns the end of the log of ilb, and its status, which says why it closes nothing.
    pub(crate) async fn log(&self) -> anyhow::Result<String> {
        let (output, status) = (self.ilb.output()?, self.ilb.ask(&["status"]).await?);
        let lines: Vec<_> = output.lines().rev().take(LOG_LINES).collect();
        Ok(lines.into_iter().rev().collect::<Vec<_>>().join("\n") + "\n" + &status.stdout)
    }
}

/// Number of lines of the log that are shown if the backends do not become level.
const LOG_LINES: usize = 20;

/// Writes the list of the first backends. A file that takes the place of another one is never read in parts.
fn write_backends(folder: &Path, backends: usize) -> anyhow::Result<()> {
    let lines: Vec<_> = (0..backends).map(|index| format!("- address: {}\n", backend::address(index))).collect();
    let beside = folder.join("new");
    fs::write(&beside, lines.concat())?;
    Ok(fs::rename(beside, folder.join("backends.yaml"))?)
}
