//! The styles of texts.

use anstyle::{AnsiColor, Style};

use crate::observe::insight::Severity;

pub(super) const TITLE_STYLE: Style = Style::new().bold();
pub(in crate::cli) const QUIET_STYLE: Style = Style::new().dimmed();
pub(in crate::cli) const GOOD_STYLE: Style = AnsiColor::Green.on_default();
pub(in crate::cli) const WARN_STYLE: Style = AnsiColor::Yellow.on_default();
pub(in crate::cli) const BAD_STYLE: Style = AnsiColor::Red.on_default().bold();

/// Returns the style of a text of this severity.
pub(super) fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Ok => GOOD_STYLE,
        Severity::Warning | Severity::Unknown => WARN_STYLE,
        Severity::Error => BAD_STYLE,
    }
}
