//! Tests of what observes the settings file.

use super::{insight::Reload, *};
use crate::process::collected_lines::Lines;

#[test]
fn each_event_of_the_settings_file_is_logged_and_counted_once() {
    let insight = Insight::new();
    let observer = SettingsObserver::new(insight.clone());
    let (lines, _guard) = Lines::collect();
    let (added, removed) = (["a".parse().unwrap(), "b".parse().unwrap()], ["c".parse().unwrap()]);
    observer.on(&SettingsEvent::Applied { added: &added, removed: &removed, pending: &["admin"] });
    observer.on(&SettingsEvent::Refused { problems: "ilb.yaml:1: no" });
    observer.on(&SettingsEvent::Restored);
    insight.read(|facts| {
        assert_eq!(facts.reloads.counts, [(Reload::Applied, 2), (Reload::Refused, 1)].into());
        assert_eq!(facts.reloads.last, Some(Reload::Applied));
    });
    let lines = lines.take();
    let expected = [
        ("INFO", "Settings changed pools=\"a, b\" removed=\"c\""),
        ("WARN", "These settings take effect at the next start"),
        ("ERROR", "Settings refused: the previous settings stay in effect problems=\"ilb.yaml:1: no\""),
        ("INFO", "The settings file is valid again"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, text)) in lines.iter().zip(expected) {
        assert!(line.starts_with(level) && line.contains(text), "{line}");
    }
}
