use clap::{ArgMatches, Command};
use serde::Serialize;

use super::{
    format::Format,
    output::{print, print_json},
};
use crate::exit::{Exit, Failure};

/// The version alone.
pub(super) const SHORT: &str = env!("CARGO_PKG_VERSION");

/// What was built, and from what.
#[derive(Serialize)]
struct Build {
    version: &'static str,
    /// `None` in a build that was not told, such as one from an archive.
    commit: Option<&'static str>,
    target: &'static str,
}

pub(super) fn form() -> Command {
    Command::new("version")
        .about("Show the version, the commit it was built from and the target it was built for")
        .arg(Format::flag())
        .after_help("Example: ilb version -o json")
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let build = Build::this();
    match Format::of(matches) {
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
    fn this() -> Self {
        // From whoever builds, because a build script that asks git would build anew at each commit.
        let commit = option_env!("ILB_COMMIT").filter(|commit| !commit.is_empty());
        Self { version: SHORT, commit, target: TARGET }
    }
}

const TARGET: &str = match (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"), cfg!(target_env = "musl")) {
    (true, _, true) => "x86_64-linux-musl",
    (true, _, false) => "x86_64-linux-gnu",
    (_, true, true) => "aarch64-linux-musl",
    (_, true, false) => "aarch64-linux-gnu",
    _ => std::env::consts::ARCH,
};
