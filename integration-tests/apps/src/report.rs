//! Records as text.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::Context;
use ilb_testbed::in_checkout;

use crate::{record::Record, window::spread};

/// Formats a record in one line.
pub(crate) fn line(record: &Record) -> String {
    let Record { application, event, seen, kept, .. } = record;
    let errors: Vec<_> = seen.errors.iter().map(|(error, number)| format!("{number} {error}")).collect();
    let kept = kept.as_ref().map_or_else(String::new, |kept| {
        format!("; lost {}, doubled {}, failed and stored {}", kept.lost.len(), kept.doubled, kept.failed_and_stored)
    });
    let mut line = format!(
        "{application}, {}{}: {:.1} s, {:?} ({:.2}) -> {:?} ({:.2}); {} confirmed, {} failed of {} clients [{}], {} connected, \
         longest wait {:.2} s, closed {} (cut {}){kept}",
        event.name(),
        if record.closing { " with closing" } else { "" },
        record.took,
        record.before,
        spread(&record.before),
        record.after,
        spread(&record.after),
        seen.confirmed,
        seen.failed,
        seen.hurt,
        errors.join(", "),
        seen.connected,
        seen.longest_wait,
        record.closed,
        record.cut,
    );
    for (what, number) in seen.noted.iter().filter(|(_, number)| **number > 0) {
        let _ = write!(line, "; {number} {what}");
    }
    line
}

/// Writes the records to `target/bench/apps.json` (in `CARGO_TARGET_DIR`, where that is set), beside those of applications that
/// were not run. Returns all of them.
pub(crate) fn keep(records: &[Record]) -> anyhow::Result<Vec<Record>> {
    let path = folder()?.join("apps.json");
    let old = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let all = merged(old.unwrap_or_default(), records);
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(all)
}

/// Returns the folder of results, which is created if need be.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = in_checkout(".").canonicalize()?.join(target).join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Returns the old records of the applications that have no new one, and the new ones.
fn merged(old: Vec<Record>, new: &[Record]) -> Vec<Record> {
    let is_kept = |record: &Record| new.iter().all(|of_new| of_new.application != record.application);
    old.into_iter().filter(is_kept).chain(new.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Event, window::Window};

    fn record(application: &str, took: f64) -> Record {
        Record {
            application: application.to_owned(),
            event: Event::ScaleOut,
            closing: false,
            clients: 2,
            before: vec![1, 1],
            after: vec![1, 1, 0],
            seen: Window::default(),
            kept: None,
            closed: 0,
            cut: 0,
            took,
        }
    }

    #[test]
    fn records_of_an_application_replace_its_old_ones_only() {
        let all = merged(vec![record("mqtt", 1.0), record("redis", 1.0)], &[record("redis", 2.0)]);
        let known: Vec<_> = all.iter().map(|record| (record.application.as_str(), record.took)).collect();
        assert_eq!(known, [("mqtt", 1.0), ("redis", 2.0)]);
    }

    #[test]
    fn a_line_names_the_event_and_the_spread() {
        let text = line(&record("mqtt", 1.5));
        assert!(text.starts_with("mqtt, scale-out: 1.5 s, [1, 1] (1.00) -> [1, 1, 0] (1.50); 0 confirmed"), "{text}");
    }
}
