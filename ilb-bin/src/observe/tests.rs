//! Tests of what observes the settings file.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::{insight::Reload, *};

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_event_of_the_settings_file_is_logged_and_counted_once() {
    let (insight, lines) = (Insight::new(), Lines::default());
    let observer = SettingsObserver::new(insight.clone());
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), || {
        let (added, removed) = (["a".parse().unwrap(), "b".parse().unwrap()], ["c".parse().unwrap()]);
        observer.on(&SettingsEvent::Applied { added: &added, removed: &removed, pending: &["log.format"] });
        observer.on(&SettingsEvent::Refused { problems: "ilb.yaml:1: no" });
        observer.on(&SettingsEvent::Restored);
    });
    insight.read(|facts| {
        assert_eq!(facts.reloads.counts, [(Reload::Applied, 2), (Reload::Refused, 1)].into());
        assert_eq!(facts.reloads.last, Some(Reload::Applied));
    });
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    let expected = [
        (" INFO", "Settings changed pools=\"a, b\" removed=\"c\""),
        (" WARN", "These settings take effect at the next start"),
        ("ERROR", "Settings refused: the previous settings stay in effect problems=\"ilb.yaml:1: no\""),
        (" INFO", "The settings file is valid again"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, text)) in lines.iter().zip(expected) {
        assert!(line.starts_with(level) && line.contains(text), "{line}");
    }
}
