//! Everything that is wrong, each with the page that says what to do about it.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Status;
use crate::observe::insight::{
    Facts,
    words::{Level, Severity},
};

/// Reason for which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct ReasonStatus {
    /// Pool that it is about; absent if it is about ilb as a whole.
    pub(crate) pool: Option<String>,
    /// Kind of the reason, as in the metrics.
    pub(crate) kind: String,
    pub(crate) severity: Severity,
    /// The reason as a sentence.
    pub(crate) text: String,
    /// Address of the page that says what it means and what to do.
    pub(crate) runbook: String,
}

/// Folder of the pages.
const PAGES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// Returns the page about a kind of reason, and the heading in it.
fn page(kind: &str) -> &'static str {
    match kind {
        "not in force" | "Traefik instance" => "chart/runbooks.md#ilbconfigurationnotinforce",
        "another writer" => "chart/runbooks.md#ilbanotherwriter",
        "closer" => "chart/runbooks.md#ilbcloserunavailable",
        "siblings" | "siblings not listed" => "chart/runbooks.md#ilbsiblingnotheard",
        "settings refused" => "chart/runbooks.md#ilbsettingsrefused",
        "no backend" => "chart/runbooks.md#ilbnobackends",
        "suspects" => "chart/runbooks.md#ilbbackendssuspect",
        "failing backends" => "chart/runbooks.md#ilbbackendsfailing",
        "discovery stale" => "chart/runbooks.md#ilbdiscoverystale",
        "not counted" => "chart/runbooks.md#ilbnotcounting",
        "full" => "chart/runbooks.md#ilbpoolfull",
        "backends not known" | "not pushed" => "chart/runbooks.md#ilbpooldegraded",
        "complaints" => "docs/troubleshooting.md#a-pod-of-the-application-is-not-listed",
        // Each other one is the kind of an error with which Traefik refuses a pool.
        _ => "chart/runbooks.md#ilbpoolnotinforce",
    }
}

impl ReasonStatus {
    fn new(pool: Option<&str>, kind: &str, severity: Severity, text: impl Into<String>) -> Self {
        let (pool, runbook) = (pool.map(str::to_owned), format!("{PAGES}{}", page(kind)));
        Self { pool, kind: kind.to_owned(), severity, text: text.into(), runbook }
    }
}

impl Facts {
    /// Lists everything that is wrong; `status` has the sentences.
    pub(super) fn reasons(&self, status: &Status, now: Instant) -> Vec<ReasonStatus> {
        let is_starting = status.level == Level::Starting;
        let mut reasons = Vec::new();
        let summaries = [
            (if self.traefik.has_rival { "another writer" } else { "not in force" }, Some(&status.traefik.summary)),
            ("closer", status.closer.as_ref().map(|closer| &closer.summary)),
            ("siblings", status.siblings.as_ref().map(|siblings| &siblings.summary)),
        ];
        for (kind, summary) in summaries {
            let bad = summary.filter(|summary| summary.severity != Severity::Ok && !is_starting);
            reasons.extend(bad.map(|summary| ReasonStatus::new(None, kind, summary.severity, &summary.text)));
        }
        let whole = self.traefik.degraded().into_iter().chain(self.degraded_beside_pools());
        reasons.extend(whole.map(|reason| ReasonStatus::new(None, reason.kind, reason.severity, reason.text)));
        let is_proved = self.traefik.not_proved(now).is_none();
        for ((name, pool), shown) in self.pools.iter().zip(&status.pools) {
            let degraded = pool.degraded(is_proved).into_iter().filter(|_| !is_starting);
            reasons.extend(degraded.map(|r| ReasonStatus::new(Some(name), r.kind, r.severity, r.text)));
            let complaint = shown.complaints.listed.first().map(|first| format!("{}: {}", first.object, first.text));
            reasons.extend(complaint.map(|text| ReasonStatus::new(Some(name), "complaints", Severity::Warning, text)));
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Complaint, State};
    use ilb_reconciler::decision::{Evidence, Standing};

    use super::*;
    use crate::observe::insight::tests::{address, insight, push, round_robin, set, unreachable_traefik};

    #[test]
    fn each_kind_leads_to_a_heading() {
        let kinds = [
            "not in force",
            "Traefik instance",
            "another writer",
            "closer",
            "siblings",
            "siblings not listed",
            "settings refused",
            "no backend",
            "suspects",
            "failing backends",
            "discovery stale",
            "not counted",
            "full",
            "backends not known",
            "not pushed",
            "complaints",
            "rejected",
        ];
        for kind in kinds {
            let (file, anchor) = page(kind).split_once('#').unwrap();
            let text = match file {
                "chart/runbooks.md" => include_str!("../../../../../chart/runbooks.md"),
                _ => include_str!("../../../../../docs/troubleshooting.md"),
            };
            let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
            let mut anchors = headings.map(|heading| heading.to_lowercase().replace(' ', "-"));
            assert!(anchors.any(|one| one == anchor), "{kind}: {file} has no heading {anchor}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_is_listed_with_its_runbook_and_what_is_well_is_not() {
        let (insight, pool) = insight();
        let backends = set(&[State::Ready, State::Ready]);
        let shown = || {
            let status = insight.snapshot().status(usize::MAX, Instant::now());
            let anchor = |reason: ReasonStatus| reason.runbook.rsplit_once('#').unwrap().1.to_owned();
            status.reasons.into_iter().map(|r| (r.pool.clone(), r.kind.clone(), anchor(r))).collect::<Vec<_>>()
        };
        pool.discovered(&backends);
        push(&pool, &round_robin(&backends), &backends, "one");
        assert_eq!(shown(), []);
        pool.standing_changed(address(1), Standing::Suspect, Some(Evidence::NoAnswer));
        pool.source.set_complaints(vec![Complaint::new("db-0", "no port is named db", true)]);
        let of_pool = |kind: &str, anchor: &str| (Some("default".to_owned()), kind.to_owned(), anchor.to_owned());
        let expected = [
            of_pool("suspects", "ilbbackendssuspect"),
            of_pool("complaints", "a-pod-of-the-application-is-not-listed"),
        ];
        assert_eq!(shown(), expected);
        pool.push_failed(&unreachable_traefik());
        let first = shown().remove(0);
        assert_eq!((first.0, first.2.as_str()), (None, "ilbconfigurationnotinforce"));
    }
}
