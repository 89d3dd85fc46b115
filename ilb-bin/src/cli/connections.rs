//! `ilb connections`: shows who is connected to whom.

use anyhow::anyhow;
use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValuesParser, RangedU64ValueParser},
};
use futures_util::future::join_all;
use serde::Serialize;

use super::{
    format::Format,
    output::{print, print_json},
    remote::{self, Replica},
    terminal, view,
};
use crate::{
    exit::{Exit, Failure},
    observe::connections::{ConnectionPage, MAX_ROWS, SortBy},
    process::runtime::block_on,
};

const POOL: &str = "pool";
const BACKEND: &str = "backend";
const CLIENT: &str = "client";
const LONE: &str = "lone";
const SORT: &str = "sort";
const REVERSE: &str = "reverse";
const LIMIT: &str = "limit";
const PAGE: &str = "page";

const DEFAULT_LIMIT: &str = "50";

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let max_rows = u64::try_from(MAX_ROWS).unwrap_or(u64::MAX);
    Command::new("connections")
        .about("Show who is connected to whom through Traefik")
        .args(remote::flags())
        .arg(Format::flag())
        .arg(text(POOL, "NAME", "Only connections of this pool"))
        .arg(text(BACKEND, "TEXT", "Only connections to backends with this text in their address or in the name of their pod"))
        .arg(text(CLIENT, "ADDRESS", "Only connections of clients whose address begins like this; also those whose backend is not certain"))
        .arg(flag(LONE, "Also list clients whose backend is not certain"))
        .arg(
            text(SORT, "ORDER", "Order of the connections, those with the highest values first")
                .value_parser(PossibleValuesParser::new(SortBy::NAMES))
                .default_value("age"),
        )
        .arg(flag(REVERSE, "Reverse the order"))
        .arg(
            text(LIMIT, "ROWS", "Number of connections of a page")
                .value_parser(RangedU64ValueParser::<u64>::new().range(1..=max_rows))
                .default_value(DEFAULT_LIMIT),
        )
        .arg(
            text(PAGE, "NUMBER", "Page to show")
                .value_parser(RangedU64ValueParser::<u64>::new().range(1..=1_000_000))
                .default_value("1"),
        )
        .after_help("Example: ilb connections -n my-namespace deploy/my-lb --sort bytes")
        .after_long_help(
            "The kernel does not tell which client belongs to which backend. A pair is shown where the counts of bytes leave \
             only one possibility; else the client is left open, and `-` is shown.\n\nWithout a name, asks the ilb in the same \
             pod; with a name, or one of the flags under Cluster, the pods of a cluster, as `ilb status` does. Each of several \
             replicas has a table of its own.\n\nExamples:\n  \
             ilb connections -n my-namespace deploy/my-lb --sort bytes\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb connections --sort bytes\n  \
             ilb connections --client 10.0.0.7 --lone\n  \
             ilb connections --backend db-1 --limit 500 -o json",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let (path, format, width) = (path(matches), Format::from_matches(matches), terminal::room().width);
    block_on(async {
        let replicas = remote::connect(matches).await?.list;
        if let [replica] = replicas.as_slice() {
            let page = replica.connections(&path).await?;
            match format {
                Format::Json => print_json(&page)?,
                Format::Table => print(&view::connections(&page, width))?,
            }
            return Ok(Exit::Done);
        }
        let answers = join_all(replicas.iter().map(|replica| async { answer(replica, &path).await })).await;
        match format {
            Format::Json => print_json(&Fleet { schema: 1, replicas: &answers })?,
            Format::Table => {
                let sections = answers.iter().map(|answer| view::connections_of(&answer.pod, answer.found(), width));
                print(&sections.collect::<Vec<_>>().join("\n"))?;
            }
        }
        if answers.iter().all(|answer| answer.page.is_none()) {
            return Err(Failure::Failed(anyhow!("no replica has answered")));
        }
        Ok(Exit::Done)
    })
}

/// Document of several replicas.
#[derive(Serialize)]
struct Fleet<'a> {
    /// Version of this document.
    schema: u32,
    replicas: &'a [Answer],
}

/// Answer of one of several replicas.
#[derive(Serialize)]
struct Answer {
    pod: String,
    namespace: String,
    /// The reason why there is no page, if so.
    problem: Option<String>,
    page: Option<ConnectionPage>,
}

impl Answer {
    fn found(&self) -> Result<&ConnectionPage, &str> {
        self.page.as_ref().ok_or(self.problem.as_deref().unwrap_or_default())
    }
}

async fn answer(replica: &Replica, path: &str) -> Answer {
    let page = replica.connections(path).await;
    Answer {
        pod: replica.name(),
        namespace: replica.release().0,
        problem: page.as_ref().err().map(|error| format!("{error:#}")),
        page: page.ok(),
    }
}

/// Returns the path with the query for these flags.
fn path(matches: &ArgMatches) -> String {
    let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(1);
    let limit = number(LIMIT);
    // Any host: only the query matters.
    let Ok(mut url) = reqwest::Url::parse("http://ilb/") else { return "connections".to_owned() };
    let texts = [POOL, BACKEND, CLIENT, SORT].into_iter();
    let texts = texts.filter_map(|name| Some((name, matches.get_one::<String>(name)?.as_str())));
    let flags = [LONE, REVERSE].into_iter().filter(|name| matches.get_flag(name)).map(|name| (name, "true"));
    let (offset, limit) = (((number(PAGE) - 1) * limit).to_string(), limit.to_string());
    url.query_pairs_mut().extend_pairs(texts.chain(flags).chain([("offset", &*offset), ("limit", &*limit)]));
    format!("connections?{}", url.query().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::connections::Query;

    #[test]
    fn flags_become_the_query_that_the_server_understands() {
        let line =
            "connections --pool a --backend db-1 --client 2001:db8::1 --lone --sort rtt --reverse --limit 20 --page 3";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let path = path(&matches);
        let query = Query::from_text(path.strip_prefix("connections?")).unwrap();
        let expected = Query {
            pool: Some("a".into()),
            backend: Some("db-1".into()),
            client: Some("2001:db8::1".into()),
            lone: true,
            sort: SortBy::Rtt,
            reverse: true,
            offset: 40,
            limit: 20,
        };
        assert_eq!(query, expected);
        let matches = command().try_get_matches_from(["connections"]).unwrap();
        assert_eq!(Query::from_text(super::path(&matches).strip_prefix("connections?")), Ok(Query::default()));
    }

    #[test]
    fn what_the_server_would_cut_is_refused() {
        for line in ["connections --limit 501", "connections --page 0", "connections --sort size"] {
            assert!(command().try_get_matches_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
