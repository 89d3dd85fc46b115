//! Text that fits into a terminal and contains nothing that the terminal would act on.

/// Replaces control characters in a text that comes from elsewhere.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Shortens a text to `room` characters. The last of them then shows that there is more.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// Cuts a line to `room` characters and keeps all of its styles.
pub(super) fn cut(line: &str, room: usize) -> String {
    let (mut shown, mut in_style) = (0, false);
    let keep = |c: &char| {
        in_style |= *c == '\u{1b}';
        let keep = in_style || shown < room;
        shown += usize::from(!in_style);
        in_style &= *c != 'm';
        keep
    };
    line.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use anstyle::Style;

    use super::*;

    #[test]
    fn a_terminal_acts_on_nothing_from_elsewhere() {
        assert_eq!(plain("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn a_line_is_cut_without_its_styles() {
        let bold = Style::new().bold();
        let line = format!("a{bold}bcd{bold:#}e");
        assert_eq!(cut(&line, 3), format!("a{bold}bc{bold:#}"));
        assert_eq!(cut(&line, 5), line);
    }
}
