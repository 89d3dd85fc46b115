//! What `ilb check` prints.

use std::fmt::Write as _;

use super::Settings;

/// What holds, and where each value comes from.
pub(crate) fn check(settings: &Settings) -> String {
    let width = |of: fn(&super::Effective) -> &str| settings.effective.iter().map(|e| of(e).len()).max().unwrap_or(0);
    let (path, value) = (width(|e| &e.path), width(|e| &e.value).min(60));
    let mut text = String::new();
    for setting in &settings.effective {
        let _ = writeln!(text, "{:path$}  {:value$}  {}", setting.path, setting.value, setting.source);
    }
    text
}
