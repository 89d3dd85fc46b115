//! Links from a backend to other places, such as its logs: a name and the template of a URL.

use std::str::FromStr;

use anyhow::{Context, anyhow, bail, ensure};

/// Link that the status page shows beside each backend: `NAME=URL`.
///
/// The URL is a template. Its placeholders stand after the host, so that no name of a pod decides where a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendLink {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// Maximum length of a name, in characters.
const MAX_NAME_LENGTH: usize = 30;

/// Maximum length of a URL, in bytes: browsers and proxies accept at least this.
const MAX_URL_LENGTH: usize = 2000;

/// Names of the placeholders.
const PLACEHOLDERS: [&str; 5] = ["pod", "namespace", "node", "address", "pool"];

impl FromStr for BackendLink {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, url) = text.split_once('=').context("there is no '=' between the name and the URL")?;
        let (name, url) = (name.trim(), url.trim());
        ensure!(!name.is_empty(), "the name is empty");
        ensure!(name.chars().count() <= MAX_NAME_LENGTH, "the name is longer than {MAX_NAME_LENGTH} characters");
        ensure!(!name.chars().any(char::is_control), "the name has a control character");
        check_template(url)?;
        Ok(Self { name: name.to_owned(), url: url.to_owned() })
    }
}

fn check_template(url: &str) -> anyhow::Result<()> {
    ensure!(!url.is_empty(), "the URL is empty");
    ensure!(url.len() <= MAX_URL_LENGTH, "the URL is longer than {MAX_URL_LENGTH} bytes");
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.context("the URL begins with neither http:// nor https://")?;
    let is_of_url = |c: char| c.is_ascii_graphic() && !"\"<>\\^`|".contains(c);
    if let Some(other) = url.chars().find(|c| !is_of_url(*c)) {
        bail!("the URL has {other:?}, which has to be percent-encoded");
    }
    let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    check_host(host)?;
    check_placeholders(rest)
}

/// Checks a host with an optional port.
fn check_host(host: &str) -> anyhow::Result<()> {
    ensure!(!host.contains('@'), "the URL has a user or a password, which everybody would see who sees the page");
    ensure!(!host.contains(['{', '}']), "the URL has a placeholder before the end of its host");
    // The colons of an IPv6 address are in brackets.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    ensure!(!name.is_empty() && name.chars().all(is_of_host), "the URL has no valid host");
    ensure!(port.is_none_or(|port| port.parse::<u16>().is_ok()), "the URL has no valid port");
    Ok(())
}

fn check_placeholders(text: &str) -> anyhow::Result<()> {
    let encoded = "write { and } of the URL itself as %7B and %7D";
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let placeholder = rest[at..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = placeholder.ok_or_else(|| anyhow!("a brace has no other one; {encoded}"))?;
        ensure!(PLACEHOLDERS.contains(&name), "{{{name}}} is no placeholder; {encoded}");
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{
        super::{Inputs, Settings, backend_links::MAX_LINKS},
        *,
    };

    #[rstest]
    #[case("Logs=https://grafana.example/explore?pod={pod}&ns={namespace}#{node}")]
    #[case("Dashboard of it=http://10.0.0.1:3000/d/x?var-address={address}&var-pool={pool}")]
    #[case("Wiki=https://[fd00::1]:8443")]
    #[case("Wiki=https://[fd00::1]/%7B%22a%22:1,2%7D")]
    fn a_link_has_a_name_and_a_template(#[case] text: &str) {
        let link: BackendLink = text.parse().unwrap();
        assert_eq!(format!("{}={}", link.name, link.url), text);
    }

    #[rstest]
    #[case("https://a/{pod}", "no '=' between")]
    #[case("=https://a", "the name is empty")]
    #[case(" =https://a", "the name is empty")]
    #[case("abcdefghijklmnopqrstuvwxyz12345=https://a", "longer than 30 characters")]
    #[case("Lo\u{7}gs=https://a", "the name has a control character")]
    #[case("Logs=", "the URL is empty")]
    #[case("Logs=javascript:alert(1)", "begins with neither http:// nor https://")]
    #[case("Logs=//a/{pod}", "begins with neither http:// nor https://")]
    #[case("Logs=https:///{pod}", "the URL has no valid host")]
    #[case("Logs=https://a b/", "the URL has ' ', which has to be percent-encoded")]
    #[case("Logs=https://a/\u{e9}", "which has to be percent-encoded")]
    #[case("Logs=https://a:99999/", "the URL has no valid port")]
    #[case("Logs=https://me:secret@a/", "a user or a password")]
    #[case("Logs=https://{namespace}.example/", "a placeholder before the end of its host")]
    #[case("Logs=https://a/{name}", "{name} is no placeholder")]
    #[case("Logs=https://a/{}", "{} is no placeholder")]
    #[case("Logs=https://a/{Pod}", "{Pod} is no placeholder")]
    #[case("Logs=https://a/{pod", "a brace has no other one")]
    #[case("Logs=https://a/pod}", "a brace has no other one")]
    #[case("Logs=https://a/{{pod}}", "{{pod} is no placeholder")]
    fn anything_else_is_none(#[case] text: &str, #[case] problem: &str) {
        let error = text.parse::<BackendLink>().unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }

    #[test]
    fn a_url_is_not_longer_than_browsers_accept() {
        let link = |length: usize| format!("a=https://a/{}", "x".repeat(length - "https://a/".len()));
        assert!(link(MAX_URL_LENGTH).parse::<BackendLink>().is_ok());
        assert!(link(MAX_URL_LENGTH + 1).parse::<BackendLink>().is_err());
    }

    fn load(name: &str, text: &str) -> Result<Vec<BackendLink>, String> {
        let inputs = Inputs { file: Some(name.into()), ..Inputs::default() };
        let settings =
            Settings::from_text(&inputs, Ok(format!("{text}\n"))).map_err(|problems| problems.to_string())?;
        Ok(settings.backend_links)
    }

    #[test]
    fn the_file_has_texts_or_tables_and_a_variable_has_texts() {
        let link = |name: &str, url: &str| BackendLink { name: name.to_owned(), url: url.to_owned() };
        let both = [link("Logs", "https://a/{pod}?b=c,d"), link("Node", "http://b/{node}")];
        for (name, text) in [
            (
                "ilb.yaml",
                "pools: [{selector: a}]\nbackendLinks:\n- {name: Logs, url: 'https://a/{pod}?b=c,d'}\n- Node=http://b/{node}",
            ),
            (
                "ilb.toml",
                "[[pools]]\nselector = 'a'\n[[backendLinks]]\nurl = 'https://a/{pod}?b=c,d'\nname = 'Logs'\n[[backendLinks]]\n\
                 name = 'Node'\nurl = 'http://b/{node}'",
            ),
        ] {
            assert_eq!(load(name, text).unwrap(), both, "{name}");
        }
        let variables =
            [("POD_LABELS", "a"), ("ILB_BACKEND_LINKS", "Logs=https://a/{pod}?b=c%2Cd, Node=http://b/{node}")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::from_text(&Inputs { variables, ..Inputs::default() }, Ok(String::new())).unwrap();
        assert_eq!(settings.backend_links, [link("Logs", "https://a/{pod}?b=c%2Cd"), both[1].clone()]);
    }

    #[rstest]
    #[case(
        "[{name: a, url: 'https://a'}, {name: a, url: 'https://b'}]",
        "ilb.yaml:1: backendLinks has two links named \"a\": give each"
    )]
    #[case("[{name: a}]", "ilb.yaml:1: backendLinks[0] has no url: give ")]
    #[case(
        "[{name: a, url: 'https://a', target: b}]",
        "ilb.yaml:1: backendLinks[0].target is not a setting: give name and url"
    )]
    #[case("[{name: a, url: [b]}]", "ilb.yaml:1: backendLinks[0].url is a text: give ")]
    #[case("[[a, b]]", "ilb.yaml:1: backendLinks is a list of texts or tables: give ")]
    #[case(
        "[{name: a, url: 'ftp://a'}]",
        "ilb.yaml:1: backendLinks=\"a=ftp://a\" cannot be used (the URL begins with neither"
    )]
    #[case(
        "[{name: '', url: 'https://a'}]",
        "ilb.yaml:1: backendLinks=\"=https://a\" cannot be used (the name is empty): give links such as "
    )]
    #[case("{name: a, url: 'https://a'}", "ilb.yaml:1: backendLinks is a list: give ")]
    fn a_mistake_is_named_with_its_place_and_the_accepted_form(#[case] links: &str, #[case] problem: &str) {
        let problems = load("ilb.yaml", &format!("backendLinks: {links}\npools: [{{selector: a}}]")).unwrap_err();
        assert!(problems.contains(problem), "{problems}");
    }

    #[test]
    fn the_number_of_links_is_limited() {
        let links = |count: usize| (0..count).map(|n| format!("a{n}=https://a")).collect::<Vec<_>>().join(", ");
        let load = |count| load("ilb.yaml", &format!("pools: [{{selector: a}}]\nbackendLinks: [{}]", links(count)));
        assert_eq!(load(MAX_LINKS).unwrap().len(), MAX_LINKS);
        assert!(load(MAX_LINKS + 1).unwrap_err().contains("backendLinks has 9 links: give at most 8"));
    }
}
