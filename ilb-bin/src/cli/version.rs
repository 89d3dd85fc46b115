//! `ilb version`: shows the version and where it comes from.

use clap::{ArgMatches, Command};
use serde::Serialize;

use super::{
    format::Format,
    output::{print, print_json},
};
use crate::exit::{Exit, Failure};

/// Version of ilb.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The build that this binary is from.
#[derive(Serialize)]
struct Build {
    version: &'static str,
    /// `None` if `ILB_COMMIT` was not set at build time, as in a build from an archive.
    commit: Option<&'static str>,
    target: &'static str,
}

pub(super) fn command() -> Command {
    Command::new("version")
        .about("Show version, commit and target of this build")
        .arg(Format::flag())
        .after_help("Example: ilb version -o json")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let build = Build::current();
    match Format::from_matches(matches) {
        Format::Json => print_json(&build)?,
        Format::Table => print(&format!(
            "ilb     {}\ncommit  {}\ntarget  {}\n",
            build.version,
            build.commit.unwrap_or("unknown"),
            build.target
        ))?,
    }
    Ok(Exit::Done)
}

impl Build {
    fn current() -> Self {
        // Set by the caller of cargo: a build script that asks git would cause a rebuild at each commit.
        let commit = option_env!("ILB_COMMIT").filter(|commit| !commit.is_empty());
        Self { version: VERSION, commit, target: TARGET }
    }
}

/// Target of this build, or only its architecture where ilb is not released for it.
const TARGET: &str = match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"), cfg!(target_env = "musl")) {
    (true, _, true) => "x86_64-linux-musl",
    (true, _, false) => "x86_64-linux-gnu",
    (_, true, true) => "aarch64-linux-musl",
    (_, true, false) => "aarch64-linux-gnu",
    _ => std::env::consts::ARCH,
};
