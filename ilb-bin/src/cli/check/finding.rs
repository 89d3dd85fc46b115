//! What a check found: OK, a warning or a failure, in a sentence, with the page that says what to do.

use std::fmt::{self, Write as _};

use anstyle::Style;
use serde::Serialize;

use crate::cli::view::{BAD_STYLE, GOOD_STYLE, QUIET_STYLE, WARN_STYLE};

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) level: Level,
    /// Observation, as a sentence without a full stop.
    pub(super) text: String,
    /// Page that says what to do; absent if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
}

/// Weight of a finding, the lightest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// May hurt, or could not be looked at.
    Warning,
    Failure,
}

/// A check. Its name is the heading of its section in `docs/checks.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    ApiServer,
    Kubernetes,
    Namespace,
    InstallRights,
    Admission,
    Rights,
    Service,
    Backends,
    BackendPort,
    Traefik,
    TraefikVersion,
    EntryPoints,
    Counting,
    LocalPorts,
    Files,
    Replicas,
    Budget,
    GracePeriod,
    Running,
    OtherWriters,
    Closer,
}

impl Check {
    /// All checks, in the order in which they are made.
    #[cfg(test)]
    pub(super) const ALL: [Self; 21] = [
        Self::ApiServer,
        Self::Kubernetes,
        Self::Namespace,
        Self::InstallRights,
        Self::Admission,
        Self::Rights,
        Self::Service,
        Self::Backends,
        Self::BackendPort,
        Self::Traefik,
        Self::TraefikVersion,
        Self::EntryPoints,
        Self::Counting,
        Self::LocalPorts,
        Self::Files,
        Self::Replicas,
        Self::Budget,
        Self::GracePeriod,
        Self::Running,
        Self::OtherWriters,
        Self::Closer,
    ];

    fn ok(self, text: impl Into<String>) -> Finding {
        Finding { check: self, level: Level::Ok, text: text.into(), link: None }
    }
}

/// Page with the runbooks of the checks.
const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/checks.md");

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: Check, text: impl Into<String>) {
        self.0.push(check.ok(text));
    }

    pub(super) fn warning(&mut self, check: Check, text: impl Into<String>) {
        self.push(check, Level::Warning, text);
    }

    pub(super) fn failure(&mut self, check: Check, text: impl Into<String>) {
        self.push(check, Level::Failure, text);
    }

    pub(super) fn push(&mut self, check: Check, level: Level, text: impl Into<String>) {
        let link = (level != Level::Ok).then(|| format!("{PAGE}#{check}"));
        self.0.push(Finding { level, link, ..check.ok(text) });
    }

    /// Returns the level of the heaviest finding.
    pub(super) fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// Writes a line for each finding, a second one with the link where something is to be done, and the sum.
    pub(super) fn text(&self) -> String {
        let width = self.0.iter().map(|finding| finding.check.to_string().len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, level, text: found, link } in &self.0 {
            let (style, word) = level.shown();
            let found: String = found.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(text, "{style}{word:7}{style:#}  {check:width$}  {found}");
            if let Some(link) = link {
                let _ = writeln!(text, "{:7}  {:width$}  {QUIET_STYLE}{link}{QUIET_STYLE:#}", "", "");
            }
        }
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count();
        let (style, _) = self.worst().shown();
        let _ = writeln!(
            text,
            "\n{style}{} OK, {} to look at, {} failed{style:#}",
            count(Level::Ok),
            count(Level::Warning),
            count(Level::Failure)
        );
        text
    }
}

impl Level {
    fn shown(self) -> (Style, &'static str) {
        match self {
            Self::Ok => (GOOD_STYLE, "OK"),
            Self::Warning => (WARN_STYLE, "warning"),
            Self::Failure => (BAD_STYLE, "FAILURE"),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ApiServer => "api-server",
            Self::Kubernetes => "kubernetes",
            Self::Namespace => "namespace",
            Self::InstallRights => "install-rights",
            Self::Admission => "admission",
            Self::Rights => "rights",
            Self::Service => "service",
            Self::Backends => "backends",
            Self::BackendPort => "backend-port",
            Self::Traefik => "traefik",
            Self::TraefikVersion => "traefik-version",
            Self::EntryPoints => "entry-points",
            Self::Counting => "counting",
            Self::LocalPorts => "local-ports",
            Self::Files => "files",
            Self::Replicas => "replicas",
            Self::Budget => "budget",
            Self::GracePeriod => "grace-period",
            Self::Running => "running",
            Self::OtherWriters => "other-writers",
            Self::Closer => "closer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_a_section_in_the_document() {
        let document = include_str!("../../../../docs/checks.md");
        for check in Check::ALL {
            assert!(document.contains(&format!("\n## {check}\n")), "{check}");
            assert_eq!(serde_json::to_value(check).unwrap(), check.to_string());
        }
    }

    #[test]
    fn what_is_not_well_has_a_link_and_decides_the_level() {
        let mut findings = Findings::default();
        assert_eq!(findings.worst(), Level::Ok);
        findings.ok(Check::ApiServer, "answers");
        findings.warning(Check::Budget, "there is none\nat all");
        let shown = anstream::adapter::strip_str(&findings.text()).to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "OK       api-server  answers");
        assert_eq!(lines[1], "warning  budget      there is none at all");
        assert!(lines[2].ends_with("/docs/checks.md#budget"), "{shown}");
        assert_eq!(lines[4], "1 OK, 1 to look at, 0 failed");
        assert_eq!(findings.worst(), Level::Warning);
        findings.failure(Check::Rights, "none");
        assert_eq!(findings.worst(), Level::Failure);
    }
}
