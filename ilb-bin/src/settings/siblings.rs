//! Settings that do not fit siblings.

use ilb_reconciler::{Method, siblings::SILENT_AFTER};

use super::{pool::PoolSettings, reading::Reading, sibling_service::SiblingService};

/// Reports what does not fit siblings.
pub(super) fn check(siblings: &[SiblingService], pools: &[PoolSettings], reading: &mut Reading<'_>) {
    for pool in pools.iter().filter(|pool| !siblings.is_empty() && pool.method == Method::LeastConnections) {
        let name = &pool.name;
        if pool.closing.rebalance.is_some() {
            reading.report(format!(
                "closing.rebalance of pool {name} does not know of siblings: it would close connections that are where they \
                 should be, as the connections of all replicas together show. Switch one of the two off"
            ));
        }
        // Counts that are older than this are not used, and the exchange takes time, too.
        if pool.update_interval * 2 > SILENT_AFTER {
            reading.report(format!(
                "the connections of pool {name} would be counted so seldom that siblings could not use the counts: set its \
                 updateInterval to at most 2500ms, or leave out siblings"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::settings::{Inputs, Settings};

    fn problems(variables: &[(&str, &str)]) -> String {
        let variables = [("ILB_SELECTOR", "app=a"), ("ILB_SIBLINGS", "ilb-siblings")].iter().chain(variables);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match Settings::load(&Inputs { variables, ..Inputs::default() }) {
            Ok(settings) => format!("{} siblings", settings.siblings.len()),
            Err(problems) => problems.to_string(),
        }
    }

    #[rstest]
    #[case(&[], "1 siblings")]
    #[case(&[("UPDATE_INTERVAL", "2500ms")], "1 siblings")]
    #[case(&[("UPDATE_INTERVAL", "3s")], "counted so seldom that siblings could not use the counts")]
    #[case(&[("UPDATE_INTERVAL", "3s"), ("LB_METHOD", "roundrobin")], "1 siblings")]
    #[case(&[("ILB_CLOSING_REBALANCE_ENABLED", "true")], "does not know of siblings")]
    #[case(&[("ILB_CLOSING_MAX_AGE", "1h")], "1 siblings")]
    fn what_does_not_fit_siblings_is_refused(#[case] variables: &[(&str, &str)], #[case] expected: &str) {
        let problems = problems(variables);
        assert!(problems.contains(expected), "{problems}");
    }
}
