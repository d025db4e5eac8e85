//! What the script on a host says beside the output of its command, taken out of the streams.

use crate::probe::Nonce;

/// How much is kept of what a login says before the command begins, in bytes.
const PREAMBLE: usize = 4 << 10;

/// How long the words of a mark may be, in bytes.
const LONGEST: usize = 2048;

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The command begins; these words stand beside it.
    Go(String),
    /// What the command printed.
    Output(Vec<u8>),
    /// The command is over.
    End(EndMark),
}

/// How a command ended, in the script's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndMark {
    /// `exit`, `timeout`, `stopped`, `unended`, `done`, `same` or `failed`, if the host is honest.
    pub how: String,
    /// What stands behind it.
    pub rest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Go,
    End,
}

/// Reads one stream of a host. What comes before the first mark is what a login profile printed, and
/// no part of the output.
#[derive(Debug)]
pub struct Marks {
    go: Vec<u8>,
    end: Vec<u8>,
    /// What may be the beginning of a mark, or is a mark whose line is not whole yet.
    held: Vec<u8>,
    preamble: Vec<u8>,
    begun: bool,
}

impl Marks {
    /// Makes a reader of a stream with marks of that nonce.
    pub fn new(nonce: &Nonce) -> Self {
        Self {
            go: format!("@{} go", nonce.as_str()).into_bytes(),
            end: format!("\n@{} end ", nonce.as_str()).into_bytes(),
            held: Vec::new(),
            preamble: Vec::new(),
            begun: false,
        }
    }

    /// Returns what came before the command began, as far as it is kept.
    pub fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// Takes a piece of the stream.
    pub fn hear(&mut self, data: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        // The usual case: nothing that could be a mark.
        if self.begun && self.held.is_empty() && !data.contains(&b'\n') {
            parts.push(Part::Output(data.to_vec()));
            return parts;
        }
        self.held.extend_from_slice(data);
        loop {
            // A script that cannot even begin says so at once.
            let (mark, found) = self.next_mark();
            let Some(at) = found else {
                let keep = tail_of(&self.held, &self.go).max(tail_of(&self.held, &self.end));
                let cut = self.held.len() - keep;
                let before: Vec<u8> = self.held.drain(..cut).collect();
                self.pass(before, &mut parts);
                return parts;
            };
            let words_at = at + self.length_of(mark);
            let behind = self.held.get(words_at..).unwrap_or_default();
            let Some(length) = behind.iter().position(|byte| *byte == b'\n') else {
                if behind.len() <= LONGEST {
                    return parts;
                }
                // No mark of ours is that long.
                let before: Vec<u8> = self.held.drain(..words_at).collect();
                self.pass(before, &mut parts);
                continue;
            };
            let words = behind.get(..length).unwrap_or_default();
            let words = String::from_utf8_lossy(words).trim().to_owned();
            let before: Vec<u8> = self.held.drain(..at).collect();
            self.held.drain(..mark_length(words_at - at, length));
            self.pass(before, &mut parts);
            if mark == Mark::End {
                let (how, rest) = words.split_once(' ').unwrap_or((&words, ""));
                parts.push(Part::End(EndMark {
                    how: how.to_owned(),
                    rest: rest.trim().to_owned(),
                }));
            } else {
                self.begun = true;
                parts.push(Part::Go(words));
            }
        }
    }

    /// Returns what was held back, when no more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        if self.begun { held } else { Vec::new() }
    }

    /// The first mark in what is held.
    fn next_mark(&self) -> (Mark, Option<usize>) {
        let end = find(&self.held, &self.end);
        let go = if self.begun {
            None
        } else {
            find(&self.held, &self.go)
        };
        match (go, end) {
            (Some(go), Some(end)) if end < go => (Mark::End, Some(end)),
            (Some(go), _) => (Mark::Go, Some(go)),
            (None, end) => (Mark::End, end),
        }
    }

    fn length_of(&self, mark: Mark) -> usize {
        match mark {
            Mark::Go => self.go.len(),
            Mark::End => self.end.len(),
        }
    }

    fn pass(&mut self, data: Vec<u8>, parts: &mut Vec<Part>) {
        if data.is_empty() {
            return;
        }
        if self.begun {
            parts.push(Part::Output(data));
        } else {
            let room = PREAMBLE.saturating_sub(self.preamble.len());
            self.preamble.extend(data.into_iter().take(room));
        }
    }
}

/// The mark, its words and the end of their line.
fn mark_length(mark: usize, words: usize) -> usize {
    mark + words + 1
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if text.get(at..)?.starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// How long the longest end of a text is that a mark begins with.
fn tail_of(text: &[u8], mark: &[u8]) -> usize {
    let most = text.len().min(mark.len().saturating_sub(1));
    (1..=most)
        .rev()
        .find(|length| {
            let tail = text.get(text.len() - length..).unwrap_or_default();
            mark.starts_with(tail)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>, Option<EndMark>) {
        let mut marks = Marks::new(&Nonce::new(7));
        let (mut output, mut gone, mut end) = (Vec::new(), Vec::new(), None);
        for piece in pieces {
            for part in marks.hear(piece) {
                match part {
                    Part::Go(words) => gone.push(words),
                    Part::Output(data) => output.extend(data),
                    Part::End(mark) => end = Some(mark),
                }
            }
        }
        output.extend(marks.finish());
        (output, gone, end)
    }

    fn nonce() -> String {
        Nonce::new(7).as_str().to_owned()
    }

    #[test]
    fn what_a_profile_prints_is_no_output() {
        let n = nonce();
        let text = format!("Welcome!\n@0 go\n@{n} go 12 -rw\nline\n@{n} go\n@{n} end exit 3\n");
        let (output, gone, end) = read(&[text.as_bytes()]);
        assert_eq!(
            String::from_utf8_lossy(&output),
            format!("line\n@{n} go"),
            "the second is the command's own"
        );
        assert_eq!(gone, ["12 -rw"]);
        let end = end.map(|end| (end.how, end.rest));
        assert_eq!(end, Some(("exit".to_owned(), "3".to_owned())));
    }

    #[test]
    fn a_script_may_end_before_anything_begins() {
        let n = nonce();
        let text = format!("Welcome!\n@{n} end failed no such directory\n");
        let (output, gone, end) = read(&[text.as_bytes()]);
        assert!(output.is_empty() && gone.is_empty());
        let end = end.map(|end| (end.how, end.rest));
        let wanted = ("failed".to_owned(), "no such directory".to_owned());
        assert_eq!(end, Some(wanted));
    }

    #[test]
    fn without_a_mark_there_is_no_output() {
        let (output, gone, end) = read(&[b"sh: not found\n"]);
        assert!(output.is_empty() && gone.is_empty() && end.is_none());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(body in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(1..20_usize, 0..60)) {
            let n = nonce();
            let mut text = format!("noise\n@{n} go\n").into_bytes();
            text.extend(&body);
            text.extend(format!("\n@{n} end exit 0\n").into_bytes());
            let mut pieces = Vec::new();
            let mut rest: &[u8] = &text;
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            pieces.push(rest);
            let (output, gone, end) = read(&pieces);
            prop_assert_eq!(output, body);
            prop_assert_eq!(gone.len(), 1);
            prop_assert!(end.is_some());
        }
    }
}
