//! The keys of a terminal, from the bytes that it sends.

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Backspace,
}

/// Puts the bytes of a key together. Sequences of keys that have no use here are dropped as a whole.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Bytes of a sequence that has not ended.
    begun: Vec<u8>,
}

const ESCAPE: u8 = 0x1b;

/// Length of the longest sequence of a key, in bytes.
const MAX_SEQUENCE_BYTES: usize = 8;

impl Decoder {
    /// Takes in a byte. Returns the key that it completes.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        if byte == ESCAPE {
            self.begun = vec![byte];
            return None;
        }
        if self.begun.is_empty() {
            return match byte {
                b'\r' | b'\n' => Some(Key::Enter),
                0x7f | 0x08 => Some(Key::Backspace),
                b' '..=b'~' => Some(Key::Char(byte.into())),
                _ => None,
            };
        }
        self.begun.push(byte);
        let is_inner = self.begun.len() == 2 && matches!(byte, b'[' | b'O');
        let ends = !is_inner && (byte.is_ascii_alphabetic() || byte == b'~');
        if !ends && (is_inner || byte.is_ascii_digit() || byte == b';') && self.begun.len() < MAX_SEQUENCE_BYTES {
            return None;
        }
        let sequence = std::mem::take(&mut self.begun);
        match sequence.get(1..)? {
            b"[A" | b"OA" => Some(Key::Up),
            b"[B" | b"OB" => Some(Key::Down),
            b"[5~" => Some(Key::PageUp),
            b"[6~" => Some(Key::PageDown),
            b"[H" | b"OH" | b"[1~" => Some(Key::Home),
            b"[F" | b"OF" | b"[4~" => Some(Key::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"q", &[Key::Char('q')])]
    #[case(b"\x1b[A\x1b[Bj", &[Key::Up, Key::Down, Key::Char('j')])]
    #[case(b"\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~", &[Key::Up, Key::PageUp, Key::PageDown, Key::Home, Key::End])]
    #[case(b"\x1b[1;5C\x1b[3~a", &[Key::Char('a')])]
    #[case(b"\r\x7f\xc3\xa4", &[Key::Enter, Key::Backspace])]
    #[case(b"\x1b[1111111111a", &[Key::Char('1'), Key::Char('1'), Key::Char('1'), Key::Char('1'), Key::Char('a')])]
    fn keys_are_read_wherever_the_bytes_are_cut(#[case] bytes: &[u8], #[case] expected: &[Key]) {
        let mut decoder = Decoder::default();
        let keys: Vec<_> = bytes.iter().filter_map(|byte| decoder.push(*byte)).collect();
        assert_eq!(keys, expected);
    }
}
