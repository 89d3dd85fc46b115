//! `ilb closer`: closes connections when a running ilb orders it.

use std::{
    io::IsTerminal,
    num::NonZeroU32,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::{
    Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, builder::TypedValueParser, value_parser,
};
use ilb_connections::{Ability, Closer, CloserServer, Destroyer, Limits, Remote};
use ipnet::IpNet;
use tracing_subscriber::filter::LevelFilter;

use super::output::print;
use crate::{
    exit::{Exit, Failure},
    process::{
        logging::{Log, LogFormat, LogOptions},
        panic,
        runtime::block_on,
        signals::Signals,
    },
};

const DEFAULT_SOCKET: &str = "/run/ilb/closer.sock";

pub(super) fn command() -> Command {
    Command::new("closer")
        .about("Close connections when a running ilb orders it (needs the capability NET_ADMIN)")
        .args([
            Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .default_value(DEFAULT_SOCKET)
                .help("Unix socket at which orders arrive"),
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Ask the closer at the socket what it can do, and exit"),
            required("client-uid", "UID", "User whose orders are followed").value_parser(value_parser!(u32)),
            list("networks", "CIDR", "Networks of the backends").value_parser(value_parser!(IpNet)),
            list("ports", "PORT", "Ports of the backends").value_parser(value_parser!(u16).range(1..)),
            list("entry-ports", "PORT", "Ports that Traefik listens on for clients")
                .value_parser(value_parser!(u16).range(1..)),
            number("max-rate", "Closings a second", Limits::DEFAULT_MAX_RATE),
            number("max-per-hour", "Closings in any hour", Limits::DEFAULT_MAX_PER_HOUR),
            Arg::new("log-level")
                .long("log-level")
                .value_name("LEVEL")
                .default_value("info")
                .value_parser(
                    PossibleValuesParser::new(["error", "warn", "info", "debug"]).try_map(|l| l.parse::<LevelFilter>()),
                )
                .help("Level of the log; debug has each order"),
        ])
        .after_help("Example: ilb closer --client-uid 65534 --networks 10.0.0.0/8 --ports 5432 --entry-ports 5432")
}

fn required(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).required_unless_present("check")
}

fn list(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    required(name, value, help).value_delimiter(',').action(ArgAction::Append)
}

fn number(name: &'static str, help: &'static str, default: NonZeroU32) -> Arg {
    let parser = value_parser!(u32).range(1..).map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
    Arg::new(name).long(name).value_name("NUMBER").help(help).default_value(default.to_string()).value_parser(parser)
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let socket: &PathBuf = matches.get_one("socket").context("no socket is given")?;
    if matches.get_flag("check") {
        return check(socket);
    }
    let limits = limits(matches).map_err(Failure::Invalid)?;
    let client_user = *matches.get_one("client-uid").context("no user is given")?;
    let level = *matches.get_one("log-level").unwrap_or(&LevelFilter::INFO);
    let format = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let log = Log::start(&LogOptions { level, format })?;
    panic::abort_on_panic(log.clone());
    let result = serve(socket, client_user, limits);
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "Cannot start");
    }
    log.flush();
    result.map(|()| Exit::Done).map_err(|error| Failure::Failed(error).reported())
}

/// Asks the closer at the socket what it can do.
fn check(socket: &Path) -> Result<Exit, Failure> {
    match block_on(async { Ok::<_, Failure>(Remote::new(socket).ability().await) })? {
        Ability::Able(limits) => {
            print(&format!("can close connections, at most {} a second\n", limits.max_rate()))?;
            Ok(Exit::Done)
        }
        Ability::Unable(reason) => {
            print(&format!("cannot close connections: {reason}\n"))?;
            Ok(Exit::Done)
        }
        Ability::Unreachable(reason) => Err(anyhow!(reason).into()),
    }
}

fn limits(matches: &ArgMatches) -> anyhow::Result<Limits> {
    fn many<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
        matches.get_many(name).into_iter().flatten().cloned().collect()
    }
    let number = |name, default| *matches.get_one::<NonZeroU32>(name).unwrap_or(&default);
    let limits = Limits::new(
        many::<IpNet>(matches, "networks"),
        many::<u16>(matches, "ports"),
        many::<u16>(matches, "entry-ports"),
    )?;
    Ok(limits
        .with_max_rate(number("max-rate", Limits::DEFAULT_MAX_RATE))
        .with_max_per_hour(number("max-per-hour", Limits::DEFAULT_MAX_PER_HOUR)))
}

/// Serves orders until a signal stops it.
fn serve(socket: &Path, client_user: u32, limits: Limits) -> anyhow::Result<()> {
    block_on(async {
        let mut stop = pin!(Signals::listen().context("cannot listen to signals")?.first());
        let destroyer = Destroyer::start(limits).alone();
        let server = CloserServer::bind(socket, client_user)
            .with_context(|| format!("cannot listen at {}", socket.display()))?;
        announce(&destroyer.ability().await);
        tokio::select! {
            signal = &mut stop => {
                tracing::info!(signal, "Stopping");
                Ok(())
            }
            error = server.run(Arc::new(destroyer)) => Err(error).context("cannot accept connections any more"),
        }
    })
}

/// Logs what the closer can do.
fn announce(ability: &Ability) {
    match ability {
        Ability::Able(limits) => tracing::info!(
            networks = list_of(limits.networks()),
            ports = list_of(limits.ports()),
            entry_ports = list_of(limits.entry_ports()),
            max_rate = limits.max_rate(),
            max_per_hour = limits.max_per_hour(),
            "Can close connections"
        ),
        Ability::Unable(reason) | Ability::Unreachable(reason) => {
            tracing::warn!(reason, "Cannot close connections, every order will fail");
        }
    }
}

fn list_of(items: impl IntoIterator<Item: ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
        command().try_get_matches_from(line.split_whitespace())
    }

    const COMPLETE: &str =
        "closer --client-uid 7 --networks 10.0.0.0/8,fd00::/8 --ports 1,2 --entry-ports 3 --entry-ports 4";

    #[test]
    fn the_flags_become_limits() {
        let limits = limits(&parse(&format!("{COMPLETE} --max-rate 5 --max-per-hour 50")).unwrap()).unwrap();
        assert_eq!(list_of(limits.networks()), "10.0.0.0/8,fd00::/8");
        assert_eq!((list_of(limits.ports()), list_of(limits.entry_ports())), ("1,2".into(), "3,4".into()));
        assert_eq!((limits.max_rate().get(), limits.max_per_hour().get()), (5, 50));
    }

    #[rstest]
    #[case::nothing("closer")]
    #[case::no_user("closer --networks 10.0.0.0/8 --ports 1 --entry-ports 3")]
    #[case::no_networks("closer --client-uid 7 --ports 1 --entry-ports 3")]
    #[case::no_ports("closer --client-uid 7 --networks 10.0.0.0/8 --entry-ports 3")]
    #[case::no_entry_ports("closer --client-uid 7 --networks 10.0.0.0/8 --ports 1")]
    #[case::no_network("closer --client-uid 7 --networks ten --ports 1 --entry-ports 3")]
    #[case::port_zero("closer --client-uid 7 --networks 10.0.0.0/8 --ports 0 --entry-ports 3")]
    #[case::rate_zero("closer --client-uid 7 --networks 10.0.0.0/8 --ports 1 --entry-ports 3 --max-rate 0")]
    #[case::unknown_level("closer --client-uid 7 --networks 10.0.0.0/8 --ports 1 --entry-ports 3 --log-level loud")]
    fn a_closer_without_limits_does_not_start(#[case] line: &str) {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_check_needs_no_limits() {
        assert!(parse("closer --check --socket /nowhere").unwrap().get_flag("check"));
        assert!(matches!(check(Path::new("/nowhere/at/all")), Err(Failure::Failed(_))));
    }

    #[test]
    fn the_document_has_each_flag_and_each_refusal() {
        let document = include_str!("../../../docs/cli.md");
        for flag in command().get_arguments().filter_map(Arg::get_long) {
            assert!(document.contains(&format!("| `--{flag}` |")), "{flag}");
        }
        for refusal in ilb_connections::Refusal::ALL {
            let reason = refusal.to_string();
            let plain = document.replace('`', "");
            assert!(plain.contains(&format!("| {} | {reason} |", refusal.name())), "{reason}");
        }
    }
}
