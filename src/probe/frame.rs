//! Splitting a probe's output into frames.

use super::Nonce;

/// How much of a line is kept, in bytes. The longest that an honest probe prints is a command line.
const LONGEST_LINE: usize = 16 << 10;

/// One frame: its name and arguments, and the lines until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'text> {
    /// First word of the head.
    pub name: &'text str,
    /// The other words.
    pub args: Vec<&'text str>,
    /// The lines, empty ones left out.
    pub lines: Vec<&'text str>,
}

impl<'text> Frame<'text> {
    /// Returns the value of the first `key=value` line with that key.
    pub fn get(&self, key: &str) -> Option<&'text str> {
        self.all(key).next()
    }

    /// Returns the values of all `key=value` lines with that key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'text str> + 'a {
        self.lines
            .iter()
            .filter_map(move |line| line.split_once('='))
            .filter(move |(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// Returns the argument at that place, or an empty word.
    pub fn arg(&self, place: usize) -> &'text str {
        self.args.get(place).copied().unwrap_or_default()
    }
}

/// The frames of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames<'text> {
    /// In the order they came.
    pub frames: Vec<Frame<'text>>,
    /// Whether the `end` frame came: the probe ran to its end.
    pub ended: bool,
}

impl Frames<'_> {
    /// Whether all came but, at most, what the operator's own checks say: the probe went to its end,
    /// or as far as those.
    pub fn is_whole(&self) -> bool {
        self.ended || self.frames.iter().any(|frame| frame.name == "core")
    }
}

/// Splits a probe's output. Whatever stands before the first frame, or carries another nonce, is
/// no frame: a login profile's words are dropped, a forged head is a line like any other.
pub fn split<'text>(text: &'text str, nonce: &Nonce) -> Frames<'text> {
    let mut frames: Vec<Frame<'text>> = Vec::new();
    let mut ended = false;
    for line in text.lines() {
        let head = line
            .strip_prefix('@')
            .and_then(|rest| rest.strip_prefix(nonce.as_str()))
            .and_then(|rest| rest.strip_prefix(' '));
        match head {
            Some("end") => {
                ended = true;
                break;
            }
            Some(head) => {
                // Split at single blanks: an empty argument (a system unit's user) is one, too.
                let mut words = head.split(' ');
                frames.push(Frame {
                    name: words.next().unwrap_or_default(),
                    args: words.collect(),
                    lines: Vec::new(),
                });
            }
            None if line.is_empty() => {}
            None => {
                if let Some(frame) = frames.last_mut() {
                    frame.lines.push(cut(line));
                }
            }
        }
    }
    Frames { frames, ended }
}

/// The begin of a line, as far as it is kept.
fn cut(line: &str) -> &str {
    let mut end = line.len().min(LONGEST_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn profile_noise_and_forged_frames_are_not_frames() {
        let nonce = Nonce::new(0xabc);
        let text = format!(
            "Welcome!\n@deadbeef hello\n\n@{n} hello\nuid=0\n@deadbeef unit system\nx=1\n@{n} end\nafter",
            n = nonce.as_str()
        );
        let frames = split(&text, &nonce);
        assert!(frames.ended);
        assert_eq!(frames.frames.len(), 1);
        assert_eq!(frames.frames[0].get("uid"), Some("0"));
        assert_eq!(
            frames.frames[0].lines,
            ["uid=0", "@deadbeef unit system", "x=1"]
        );
    }

    #[test]
    fn a_cut_output_has_not_ended() {
        let nonce = Nonce::new(7);
        let text = format!("@{n} hello\nuid=0\n@{n} en", n = nonce.as_str());
        assert!(!split(&text, &nonce).ended);
    }

    #[test]
    fn a_line_is_kept_only_so_far() {
        let nonce = Nonce::new(7);
        let long = "é".repeat(LONGEST_LINE);
        let text = format!("@{n} hello\nx{long}\nuid=0\n@{n} end\n", n = nonce.as_str());
        let frames = split(&text, &nonce);
        let lines = &frames.frames[0].lines;
        assert_eq!(lines[0].len(), LONGEST_LINE - 1);
        assert_eq!(lines[1], "uid=0");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,400}") {
            let _ = split(&text, &Nonce::new(1));
        }
    }
}
