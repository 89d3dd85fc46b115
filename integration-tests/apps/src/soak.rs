//! A soak: all applications at once, whose servers are scaled and restarted over and over, and what grows meanwhile.

mod flat;
mod page;
mod plot;
mod sample;

use std::{collections::BTreeMap, fs, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use ilb_testbed::{Ilb, in_a_network, in_checkout};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

pub(crate) use self::sample::Sample;
use crate::{apps, report};

/// First argument of the program that soaks one application in a network namespace of its own.
pub(crate) const ALONE: &str = "soak-alone";
/// Line of such a program as soon as its clients work.
const READY: &str = "ready";
/// Duration from which on the results are those of the documents, in seconds.
const WHOLE: u64 = 1800;

/// Program that soaks an application.
struct Soaked {
    name: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Soaks these applications, writes the page, and judges whether everything is flat.
pub(crate) async fn run(names: &[&'static str]) -> anyhow::Result<()> {
    let duration = duration(&std::env::var("DURATION").unwrap_or_default())?;
    let mut all = Vec::new();
    for name in names {
        // One after the other: the starts of all at once take longer than anything waits for.
        all.push(Soaked::start(name).await?);
        eprintln!("soak: {name} works");
    }
    let samples = try_join_all(all.into_iter().map(|soaked| soaked.finish(duration))).await?;
    let samples: BTreeMap<String, Vec<Sample>> = samples.into_iter().collect();
    let judgement = flat::check(&samples);
    let verdict = match &judgement {
        Ok(()) => "everything is flat, and nothing was lost.".to_owned(),
        Err(error) => error.to_string(),
    };
    let folder = if duration.as_secs() >= WHOLE { in_checkout("docs/benchmarks") } else { report::folder()? };
    fs::write(report::folder()?.join("soak.json"), serde_json::to_string_pretty(&samples)? + "\n")?;
    fs::write(folder.join("soak.md"), page::page(&samples, duration, &verdict))?;
    fs::write(folder.join("soak.svg"), plot::svg(&samples))?;
    println!("soak: the page is {}", folder.join("soak.md").display());
    judgement
}

/// Soaks one application, once its standard input says for how long.
pub(crate) async fn alone(name: &str) -> anyhow::Result<()> {
    let wait_for_duration = || {
        println!("{READY}");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(Duration::from_secs(line.trim().parse().context("no duration")?))
    };
    let samples = Box::pin(apps::soak(name, wait_for_duration)).await?;
    println!("{}", serde_json::to_string(&samples)?);
    Ok(())
}

impl Soaked {
    /// Starts an application, and waits until its clients work.
    async fn start(name: &'static str) -> anyhow::Result<Self> {
        let mut command = in_a_network("setpriv");
        Ilb::share_with(&mut command)?;
        let mut command = Command::from(command);
        command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe()?).args([ALONE, name]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run unshare")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let line = lines.next_line().await?;
        ensure!(line.as_deref() == Some(READY), "{name} failed, as is said above; it needs root");
        Ok(Self { name, child, lines })
    }

    async fn finish(mut self, duration: Duration) -> anyhow::Result<(String, Vec<Sample>)> {
        let mut stdin = self.child.stdin.take().context("no standard input")?;
        stdin.write_all(format!("{}\n", duration.as_secs()).as_bytes()).await?;
        let line = self.lines.next_line().await?;
        let line = line.with_context(|| format!("{} failed, as is said above", self.name))?;
        Ok((self.name.to_owned(), serde_json::from_str(&line)?))
    }
}

/// Parses a number of seconds, or of minutes with `m`; half an hour if there is none.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let (number, unit) = text.strip_suffix('m').map_or((text.trim_end_matches('s'), 1), |minutes| (minutes, 60));
    if text.is_empty() {
        return Ok(Duration::from_secs(WHOLE));
    }
    let number: u64 = number.parse().with_context(|| format!("DURATION: '{text}' is not like 600 or 10m"))?;
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_of_seconds_or_of_minutes_and_half_an_hour_by_default() {
        assert_eq!(duration("").unwrap().as_secs(), 1800);
        assert_eq!(duration("600").unwrap().as_secs(), 600);
        assert_eq!(duration("90s").unwrap().as_secs(), 90);
        assert_eq!(duration("10m").unwrap().as_secs(), 600);
        assert!(duration("long").unwrap_err().to_string().contains("'long'"));
    }
}
