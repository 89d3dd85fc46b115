//! What the environment asks for.

use anyhow::{Context, ensure};

use crate::{apps, event::Event};

/// The parts to run, and how.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) applications: Vec<&'static str>,
    /// Keys of events; all if there are none.
    pub(crate) events: Vec<String>,
    /// Applications at a time.
    pub(crate) jobs: usize,
    /// Set if `docs/applications.md` is written.
    pub(crate) writes_page: bool,
}

impl Options {
    /// Reads `APPS` and `EVENTS` (lists with commas), `JOBS` and `UPDATE_DOCS`: `kept` runs nothing, and writes the page of the
    /// results that there are.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        Self::parse(&variable("APPS"), &variable("EVENTS"), &variable("JOBS"), &variable("UPDATE_DOCS"))
    }

    fn parse(applications: &str, events: &str, jobs: &str, update_docs: &str) -> anyhow::Result<Self> {
        let applications = list(applications);
        for name in &applications {
            ensure!(
                apps::NAMES.contains(&name.as_str()),
                "APPS: there is no '{name}'; there are {}",
                apps::NAMES.join(", ")
            );
        }
        let known = Event::ALL.map(Event::key);
        let events = list(events);
        for key in &events {
            ensure!(known.contains(&key.as_str()), "EVENTS: there is no '{key}'; there are {}", known.join(", "));
        }
        let jobs =
            if jobs.is_empty() { 2 } else { jobs.parse().context("JOBS is no number of applications at a time")? };
        let writes_page = !update_docs.is_empty();
        ensure!(events.is_empty() || !writes_page, "UPDATE_DOCS writes a page about all events: leave EVENTS out");
        let runs = update_docs != "kept";
        let is_wanted =
            |name: &&str| runs && (applications.is_empty() || applications.iter().any(|wanted| wanted == name));
        let applications = apps::NAMES.into_iter().filter(is_wanted).collect();
        Ok(Self { applications, events, jobs: usize::max(jobs, 1), writes_page })
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_runs_two_at_a_time_if_nothing_is_named() {
        let options = Options::parse("", "", "", "").unwrap();
        assert_eq!((options.applications.as_slice(), options.jobs), (apps::NAMES.as_slice(), 2));
        assert!(options.events.is_empty() && !options.writes_page);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_there_is() {
        let error = |apps, events| Options::parse(apps, events, "", "").unwrap_err().to_string();
        assert!(error("postgres", "").starts_with("APPS: there is no 'postgres'; there are postgresql, "));
        assert!(error("", "scale").starts_with("EVENTS: there is no 'scale'; there are scale-out, "));
    }

    #[test]
    fn a_page_is_about_all_events() {
        assert!(Options::parse("", "scale-out", "", "1").is_err());
        assert!(Options::parse("mqtt", "", "1", "1").unwrap().writes_page);
        let kept = Options::parse("", "", "", "kept").unwrap();
        assert!(kept.writes_page && kept.applications.is_empty());
    }
}
