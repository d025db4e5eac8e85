//! Node sets: the `VM[151-153,160]` notation of `ClusterShell`, read and written.
//!
//! [`expand`] turns a pattern into names, [`fold`] turns names into the shortest pattern this
//! module knows, [`natural_cmp`] orders names the way an operator counts them. All are pure
//! functions.
//!
//! The rules follow `nodeset -e` and `nodeset -f` of `ClusterShell` 1.9 (its `NodeSet.py` and
//! `RangeSet.py`). Deliberate departures:
//!
//! - [`expand`] keeps the order written; `ClusterShell` sorts.
//! - Blanks, empty patterns and negative indices are errors; `!`, `&`, `^`, `@` and wildcards
//!   are plain text, not set operators or groups.
//! - A range with bounds of unequal length right after a digit (`n1[9-10]`) is an error, lest
//!   it reach the wrong hosts: `ClusterShell` reads it as the 92 names `n19` to `n110`, as text
//!   it would be 2.
//! - Steps may have digits after the bracket (`n[1-5/2]0`), which `ClusterShell` refuses.
//! - Digit runs beyond `u64` are text; `ClusterShell` counts up to 1e100.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::iter;

/// The most names one pattern may stand for; a mistyped bound must not fill the memory.
pub const MAX_NAMES: usize = 100_000;

/// How many axes [`fold`] tries as the first to fold, so names made of dozens of numbers stay
/// cheap.
const MAX_FOLD_ORDERS: usize = 6;

/// Stands for an index in a [`template`](split_indices); names that hold brackets themselves
/// never get a template.
const INDEX_SLOT: &str = "[]";

/// Why a pattern is not a node set, and where.
///
/// The `Display` text is a lower-case fragment for the end of a longer message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node set {pattern:?}, byte column {column}: {fault}")]
pub struct NodeSetError {
    /// The pattern as it was given.
    pub pattern: String,
    /// Where the fault is, in bytes, the first byte being column 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: NodeSetFault,
}

/// What is wrong with a pattern; see [`NodeSetError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeSetFault {
    /// Nothing before, between or after the commas.
    #[error("a name is empty")]
    EmptyName,
    /// White space or a control character.
    #[error("blanks and control characters are not allowed")]
    Blank,
    /// `]` outside brackets.
    #[error("']' closes no bracket")]
    UnopenedBracket,
    /// `[` to the end of the pattern.
    #[error("'[' is never closed")]
    UnclosedBracket,
    /// `[` inside brackets.
    #[error("brackets inside brackets are not allowed")]
    NestedBracket,
    /// `n[1-2][3-4]` or `n[1-2]5[3-4]`, where indices would run into each other.
    #[error("two brackets need text other than digits between them")]
    AdjacentBrackets,
    /// `[]`.
    #[error("the brackets are empty")]
    EmptyBrackets,
    /// Nothing before, between or after the commas, dashes and slashes in brackets.
    #[error("a number is missing")]
    MissingNumber,
    /// Something other than ASCII digits, given here, where a number belongs.
    #[error("{0:?} is not a number")]
    NotANumber(String),
    /// A number beyond `u64`.
    #[error("the number {0} is too big")]
    NumberTooBig(String),
    /// A range whose last index is below its first.
    #[error("the range {0} runs backwards")]
    ReversedRange(String),
    /// A range with zero padding and bounds of different length, such as `01-100`.
    #[error("the zero-padded bounds of {0} must have as many digits each")]
    PaddingMismatch(String),
    /// A range right after a digit, with bounds of different length, such as `n1[9-10]`.
    #[error("after a digit, the bounds of {0} must have as many digits each")]
    AmbiguousBounds(String),
    /// `/0`.
    #[error("the step is zero")]
    ZeroStep,
    /// `5/2`.
    #[error("a step needs a range such as 0-10/2")]
    StepWithoutRange,
    /// More than [`MAX_NAMES`] names, repeated ones counted.
    #[error("the pattern stands for more than {MAX_NAMES} names")]
    TooManyNames,
}

/// A fault and its byte column, before the pattern is attached.
type Located = (usize, NodeSetFault);

/// Expands a pattern into its names, in the order written, repeated names kept once.
///
/// Several brackets in a name give their product, the first bracket varying slowest. Text
/// without brackets is a name as it stands. A zero-padded bound pads the range, and then both
/// bounds must have as many digits (`[001-010]`, but not `[01-100]`).
///
/// # Errors
///
/// [`NodeSetError`] with one of the faults that [`NodeSetFault`] describes; blanks are looked
/// for before all else. The limit of [`MAX_NAMES`] counts names before repeated ones are
/// dropped.
pub fn expand(pattern: &str) -> Result<Vec<String>, NodeSetError> {
    Scanner {
        pattern,
        rest: pattern,
    }
    .names()
    .map_err(|(column, fault)| NodeSetError {
        pattern: pattern.to_owned(),
        column,
        fault,
    })
}

/// Folds names into a pattern, the inverse of [`expand`]: `expand(&fold(names))` gives the same
/// set of names, provided they are at most [`MAX_NAMES`] and each is a name to `expand`.
///
/// Groups come in natural order and the result does not depend on the order or repetition of
/// the names. Inside brackets shorter indices precede longer ones, and ranges break where the
/// padding changes, as `nodeset -f` prints. Names with several numbers are folded into
/// products; where no single product fits, the axis that leaves the fewest groups is folded
/// first. No name is in two groups.
///
/// Empty names are left out. A name that holds a comma, a bracket, a blank or a control
/// character stays as it is; `expand` would refuse or split it.
pub fn fold<I, S>(names: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let mut groups: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    // The first name of each group decides its place.
    let mut pieces: Vec<(String, String)> = Vec::new();
    for name in names {
        let name = name.as_ref();
        if name.chars().any(is_reserved) {
            pieces.push((name.to_owned(), name.to_owned()));
        } else if !name.is_empty() {
            let (template, indices) = split_indices(name);
            let block = indices.into_iter().map(|index| vec![index]).collect();
            groups.entry(template).or_default().push(block);
        }
    }
    for (template, blocks) in groups {
        pieces.extend(fold_blocks(blocks).iter().map(|block| {
            let first = fill(&template, block.iter().map(|axis| first_of(axis)));
            let text = fill(&template, block.iter().map(|axis| ranges_of(axis)));
            (first, text)
        }));
    }
    pieces.sort_by(|(one, _), (other, _)| natural_cmp(one, other));
    pieces.dedup();
    let texts: Vec<String> = pieces.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}

/// Compares names as an operator counts: digit runs as numbers of any size, other text by its
/// bytes, numbers before text. Names equal so far are ordered by padding, the shorter first
/// (`n1`, `n01`, `n2`). Equal only for equal names.
#[must_use]
pub fn natural_cmp(a: &str, b: &str) -> Ordering {
    runs(a)
        .map(Run::new)
        .cmp(runs(b).map(Run::new))
        // Only padding can differ from here on, and a run's length is its padding.
        .then_with(|| runs(a).map(str::len).cmp(runs(b).map(str::len)))
}

/// The part of a pattern that is still to be read.
struct Scanner<'p> {
    pattern: &'p str,
    rest: &'p str,
}

impl<'p> Scanner<'p> {
    /// The byte column of the next character, the first being 1.
    fn column(&self) -> usize {
        self.pattern.len() - self.rest.len() + 1
    }

    /// Takes the text before the first of `stops`, or all that is left.
    fn take_until(&mut self, stops: &[char]) -> &'p str {
        let at = self.rest.find(stops).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes the next character.
    fn take_char(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let taken = chars.next();
        self.rest = chars.as_str();
        taken
    }

    /// Reads the comma separated names to the end of the pattern.
    fn names(mut self) -> Result<Vec<String>, Located> {
        if let Some(blank) = self.pattern.find(is_blank) {
            return Err((blank + 1, NodeSetFault::Blank));
        }
        let mut names = Vec::new();
        loop {
            let (axes, is_last) = self.axes(MAX_NAMES - names.len())?;
            names.extend(product(axes));
            if is_last {
                break;
            }
        }
        let mut seen = HashSet::with_capacity(names.len());
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    /// Reads up to a top-level comma or the end: the choices at each place of the name, for at
    /// most `room` names, and whether the pattern ended.
    fn axes(&mut self, room: usize) -> Result<(Vec<Vec<String>>, bool), Located> {
        let start = self.column();
        if room == 0 {
            return Err((start, NodeSetFault::TooManyNames));
        }
        let mut axes = Vec::new();
        let mut combinations = 1;
        let mut is_after_bracket = false;
        loop {
            let text = self.take_until(&['[', ']', ',']);
            if !text.is_empty() {
                axes.push(vec![text.to_owned()]);
            }
            let column = self.column();
            let stop = self.take_char();
            match stop {
                None | Some(',') if axes.is_empty() => {
                    return Err((start, NodeSetFault::EmptyName));
                }
                None | Some(',') => return Ok((axes, stop.is_none())),
                Some(']') => return Err((column, NodeSetFault::UnopenedBracket)),
                Some(_) if is_after_bracket && is_digits(text) => {
                    return Err((column, NodeSetFault::AdjacentBrackets));
                }
                Some(_) => {
                    let is_after_digit = text.ends_with(|c: char| c.is_ascii_digit());
                    let indices = self.bracket(column, is_after_digit, room / combinations)?;
                    combinations *= indices.len();
                    axes.push(indices);
                    is_after_bracket = true;
                }
            }
        }
    }

    /// Reads the inside of the bracket opened at column `opened`, for at most `room` indices.
    fn bracket(
        &mut self,
        opened: usize,
        is_after_digit: bool,
        room: usize,
    ) -> Result<Vec<String>, Located> {
        let mut column = self.column();
        let inside = self.take_until(&['[', ']']);
        let end = self.column();
        match self.take_char() {
            Some(']') if inside.is_empty() => return Err((opened, NodeSetFault::EmptyBrackets)),
            Some(']') => {}
            Some(_) => return Err((end, NodeSetFault::NestedBracket)),
            None => return Err((opened, NodeSetFault::UnclosedBracket)),
        }
        let mut indices = Vec::new();
        for text in inside.split(',') {
            let range = Range::parse(text, column, is_after_digit)?;
            if range.count() > (room - indices.len()) as u64 {
                return Err((column, NodeSetFault::TooManyNames));
            }
            indices.extend(range.values().map(|value| padded(value, range.width)));
            column += text.len() + 1;
        }
        Ok(indices)
    }
}

/// One element between the commas of a bracket: `7`, `001-010` or `0-10/2`.
struct Range {
    first: u64,
    last: u64,
    step: u64,
    /// Digits to pad to; 0 where no bound is padded.
    width: usize,
}

impl Range {
    /// Parses an element whose text begins at `column`.
    fn parse(text: &str, column: usize, is_after_digit: bool) -> Result<Self, Located> {
        let (span, step) = match text.split_once('/') {
            Some((span, step)) => (span, Some((step, column + span.len() + 1))),
            None => (text, None),
        };
        let Some((first, last)) = span.split_once('-') else {
            let value = parse_number(span, column)?;
            return match step {
                Some((_, at)) => Err((at, NodeSetFault::StepWithoutRange)),
                // A number on its own always keeps its digits.
                None => Ok(Self {
                    first: value,
                    last: value,
                    step: 1,
                    width: span.len(),
                }),
            };
        };
        let is_padded = [first, last]
            .iter()
            .any(|bound| bound.len() > 1 && bound.starts_with('0'));
        let width = if is_padded { first.len() } else { 0 };
        let has_equal_lengths = first.len() == last.len();
        let range = Self {
            first: parse_number(first, column)?,
            last: parse_number(last, column + first.len() + 1)?,
            step: step.map_or(Ok(1), |(step, at)| parse_step(step, at))?,
            width,
        };
        if is_padded && !has_equal_lengths {
            Err((column, NodeSetFault::PaddingMismatch(span.to_owned())))
        } else if is_after_digit && !has_equal_lengths {
            Err((column, NodeSetFault::AmbiguousBounds(span.to_owned())))
        } else if range.first > range.last {
            Err((column, NodeSetFault::ReversedRange(span.to_owned())))
        } else {
            Ok(range)
        }
    }

    fn count(&self) -> u64 {
        ((self.last - self.first) / self.step).saturating_add(1)
    }

    fn values(&self) -> impl Iterator<Item = u64> + use<> {
        let (last, step) = (self.last, self.step);
        iter::successors(Some(self.first), move |value| {
            value.checked_add(step).filter(|next| *next <= last)
        })
    }
}

fn parse_number(text: &str, column: usize) -> Result<u64, Located> {
    let fault = if text.is_empty() {
        NodeSetFault::MissingNumber
    } else if !is_digits(text) {
        // `u64::from_str` alone would accept a leading plus.
        NodeSetFault::NotANumber(text.to_owned())
    } else if let Ok(number) = text.parse() {
        return Ok(number);
    } else {
        NodeSetFault::NumberTooBig(text.to_owned())
    };
    Err((column, fault))
}

fn parse_step(text: &str, column: usize) -> Result<u64, Located> {
    match parse_number(text, column)? {
        0 => Err((column, NodeSetFault::ZeroStep)),
        step => Ok(step),
    }
}

/// Every combination of one choice per axis, the first axis varying slowest.
fn product(axes: Vec<Vec<String>>) -> Vec<String> {
    axes.into_iter()
        .fold(vec![String::new()], |mut names, axis| {
            if let [only] = axis.as_slice() {
                for name in &mut names {
                    name.push_str(only);
                }
                return names;
            }
            names
                .iter()
                .flat_map(|name| axis.iter().map(move |choice| format!("{name}{choice}")))
                .collect()
        })
}

/// A number in a name. The derived order, by digits written and then by value, is the one
/// `nodeset -f` uses inside brackets: it keeps indices of one padding together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Index {
    width: usize,
    value: u64,
}

impl Index {
    fn is_padded(self) -> bool {
        let digits = self
            .value
            .checked_ilog10()
            .map_or(1, |log| log as usize + 1);
        self.width > digits
    }

    fn text(self) -> String {
        padded(self.value, self.width)
    }
}

/// For each number of a template the indices it takes, sorted; stands for their product.
type Block = Vec<Vec<Index>>;

/// Takes a name apart into its text, with [`INDEX_SLOT`] for each number, and its numbers.
fn split_indices(name: &str) -> (String, Vec<Index>) {
    let mut template = String::with_capacity(name.len() + INDEX_SLOT.len());
    let mut indices = Vec::new();
    for run in runs(name) {
        match run.parse() {
            Ok(value) if is_digits(run) => {
                template.push_str(INDEX_SLOT);
                indices.push(Index {
                    width: run.len(),
                    value,
                });
            }
            _ => template.push_str(run),
        }
    }
    (template, indices)
}

/// Puts `texts` into the slots of a template, in order.
fn fill(template: &str, texts: impl Iterator<Item = String>) -> String {
    let mut texts = texts.fuse();
    template
        .split(INDEX_SLOT)
        .fold(String::new(), |name, part| {
            name + part + &texts.next().unwrap_or_default()
        })
}

/// Joins single names of one template into few disjoint products.
fn fold_blocks(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.sort_unstable();
    blocks.dedup();
    let Some(first) = blocks.first() else {
        return blocks;
    };
    // The last axis first: in `rack1-node2` the racks are the more telling groups.
    let varying: Vec<usize> = (0..first.len())
        .rev()
        .filter(|&axis| {
            blocks
                .iter()
                .any(|block| block.get(axis) != first.get(axis))
        })
        .collect();
    // Whatever the order, a perfect product is found; only ragged sets depend on it.
    let folded = varying.iter().take(MAX_FOLD_ORDERS).map(|&leading| {
        let others = varying.iter().copied().filter(|&axis| axis != leading);
        iter::once(leading)
            .chain(others)
            .fold(blocks.clone(), merge_axis)
    });
    folded.min_by_key(Vec::len).unwrap_or(blocks)
}

/// Joins the blocks that differ on `axis` alone.
fn merge_axis(blocks: Vec<Block>, axis: usize) -> Vec<Block> {
    let mut merged: BTreeMap<Block, Vec<Index>> = BTreeMap::new();
    for mut block in blocks {
        let indices = block.get_mut(axis).map(std::mem::take).unwrap_or_default();
        merged.entry(block).or_default().extend(indices);
    }
    let restore = |(mut block, mut indices): (Block, Vec<Index>)| {
        indices.sort_unstable();
        if let Some(emptied) = block.get_mut(axis) {
            *emptied = indices;
        }
        block
    };
    merged.into_iter().map(restore).collect()
}

fn first_of(axis: &[Index]) -> String {
    axis.first().map(|index| index.text()).unwrap_or_default()
}

/// Writes sorted indices as ranges, in brackets if they are several.
fn ranges_of(axis: &[Index]) -> String {
    if let [only] = axis {
        return only.text();
    }
    let mut spans: Vec<(Index, Index)> = Vec::new();
    for &index in axis {
        match spans.last_mut() {
            Some((first, last)) if is_next(*first, *last, index) => *last = index,
            _ => spans.push((index, index)),
        }
    }
    let texts: Vec<String> = spans
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.text()
            } else {
                first.text() + "-" + &last.text()
            }
        })
        .collect();
    format!("[{}]", texts.join(","))
}

/// Whether `next` continues the range `first-last`: `9-10` but not `9-010`, `09-10` but not
/// `09-010`.
fn is_next(first: Index, last: Index, next: Index) -> bool {
    let fits_padding = if first.is_padded() {
        next.width == first.width
    } else {
        !next.is_padded()
    };
    fits_padding && last.value.checked_add(1) == Some(next.value)
}

/// A stretch of a name as [`natural_cmp`] sees it; the derived order puts numbers first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Run<'n> {
    /// Digits without leading zeros, after their count: the longer number is the greater.
    Number(usize, &'n str),
    Text(&'n str),
}

impl<'n> Run<'n> {
    fn new(run: &'n str) -> Self {
        if is_digits(run) {
            let digits = run.trim_start_matches('0');
            Self::Number(digits.len(), digits)
        } else {
            Self::Text(run)
        }
    }
}

/// Splits a name where ASCII digits begin or end.
fn runs(name: &str) -> impl Iterator<Item = &str> {
    name.as_bytes()
        .chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit())
        // Drops nothing: an ASCII digit is never part of a longer character.
        .filter_map(|run| std::str::from_utf8(run).ok())
}

/// Whether there are only ASCII digits, or nothing, in `text`.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Whether a character cannot be part of a name in a pattern.
fn is_reserved(c: char) -> bool {
    matches!(c, ',' | '[' | ']') || is_blank(c)
}

/// Writes a number with zeros up to `width` digits. By hand, as `format!` panics on widths
/// beyond `u16`.
fn padded(value: u64, width: usize) -> String {
    let digits = value.to_string();
    "0".repeat(width.saturating_sub(digits.len())) + &digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn expanded(pattern: &str) -> String {
        match expand(pattern) {
            Ok(names) => names.join(" "),
            Err(error) => error.to_string(),
        }
    }

    fn folded(names: &str) -> String {
        fold(names.split(' '))
    }

    /// The same as `nodeset -e` prints, but for the order.
    #[test]
    fn expands_as_clustershell_does() {
        let cases = [
            ("VM1", "VM1"),
            ("VM[151-153,160]", "VM151 VM152 VM153 VM160"),
            ("10.0.0.[152-153]", "10.0.0.152 10.0.0.153"),
            ("10.0.0.1[52-53]", "10.0.0.152 10.0.0.153"),
            ("n[008-011]", "n008 n009 n010 n011"),
            ("n[099-100]", "n099 n100"),
            ("n[99-100]", "n99 n100"),
            ("n0[8-9]", "n08 n09"),
            ("n1[8,10]", "n18 n110"),
            ("n[0-10/5]", "n0 n5 n10"),
            ("n[01-09/4]", "n01 n05 n09"),
            ("n[1-9/100]", "n1"),
            ("n[1,01,001]", "n1 n01 n001"),
            ("[1-3]", "1 2 3"),
            ("n[9-10]5", "n95 n105"),
            ("n[1-2].lan", "n1.lan n2.lan"),
            ("r[1-2]-n[1-2]", "r1-n1 r1-n2 r2-n1 r2-n2"),
            ("a1,b[1-2]-c,d", "a1 b1-c b2-c d"),
            ("n1-n2", "n1-n2"),
            ("é[1-2]ü", "é1ü é2ü"),
        ];
        for (pattern, names) in cases {
            assert_eq!(expanded(pattern), names, "{pattern}");
        }
    }

    #[test]
    fn expands_in_the_order_written_and_drops_repeats() {
        assert_eq!(expanded("n[3,1-2],n2,a,n[1-4]"), "n3 n1 n2 a n4");
    }

    #[test]
    fn names_column_and_fault() {
        let cases = [
            ("", 1, "a name is empty"),
            ("a,", 3, "a name is empty"),
            (",a", 1, "a name is empty"),
            ("a,,b", 3, "a name is empty"),
            ("a b", 2, "blanks and control characters are not allowed"),
            (
                "é[1-2] ",
                8,
                "blanks and control characters are not allowed",
            ),
            ("n[1\t]", 4, "blanks and control characters are not allowed"),
            ("n1]", 3, "']' closes no bracket"),
            ("n[1]]", 5, "']' closes no bracket"),
            ("a,n[1", 4, "'[' is never closed"),
            ("n[[1]]", 3, "brackets inside brackets are not allowed"),
            (
                "n[1][2]",
                5,
                "two brackets need text other than digits between them",
            ),
            (
                "n[1]5[2]",
                6,
                "two brackets need text other than digits between them",
            ),
            ("n[]", 2, "the brackets are empty"),
            ("n[1,,2]", 5, "a number is missing"),
            ("n[1,]", 5, "a number is missing"),
            ("n[1-]", 5, "a number is missing"),
            ("n[-1]", 3, "a number is missing"),
            ("n[1-2/]", 7, "a number is missing"),
            ("é[1-2,x]", 8, "\"x\" is not a number"),
            ("n[1-2-3]", 5, "\"2-3\" is not a number"),
            ("n[+1]", 3, "\"+1\" is not a number"),
            ("n[1-9/2/3]", 7, "\"2/3\" is not a number"),
            ("n[٣]", 3, "\"٣\" is not a number"),
            (
                "n[18446744073709551616]",
                3,
                "the number 18446744073709551616 is too big",
            ),
            ("n[2-1]", 3, "the range 2-1 runs backwards"),
            (
                "n[01-100]",
                3,
                "the zero-padded bounds of 01-100 must have as many digits each",
            ),
            (
                "n[1-010]",
                3,
                "the zero-padded bounds of 1-010 must have as many digits each",
            ),
            (
                "n[0-00]",
                3,
                "the zero-padded bounds of 0-00 must have as many digits each",
            ),
            (
                "n1[9-10]",
                4,
                "after a digit, the bounds of 9-10 must have as many digits each",
            ),
            (
                "n0[5,0-10/5]",
                6,
                "after a digit, the bounds of 0-10 must have as many digits each",
            ),
            ("n[1-9/0]", 7, "the step is zero"),
            ("n[5/2]", 5, "a step needs a range such as 0-10/2"),
            (
                "n[1-100001]",
                3,
                "the pattern stands for more than 100000 names",
            ),
            (
                "n[1-100000],m",
                13,
                "the pattern stands for more than 100000 names",
            ),
            (
                "n[1-100000,1]",
                12,
                "the pattern stands for more than 100000 names",
            ),
            (
                "r[1-400]-n[1-251]",
                12,
                "the pattern stands for more than 100000 names",
            ),
            (
                "n[0-18446744073709551615]",
                3,
                "the pattern stands for more than 100000 names",
            ),
        ];
        for (pattern, column, fault) in cases {
            let message = format!("node set {pattern:?}, byte column {column}: {fault}");
            assert_eq!(expanded(pattern), message);
        }
    }

    #[test]
    fn stays_within_its_limits() {
        assert_eq!(
            expand("r[1-400]-n[1-250]").map(|names| names.len()),
            Ok(MAX_NAMES)
        );
        let last = "n[18446744073709551614-18446744073709551615]";
        assert_eq!(
            expanded(last),
            "n18446744073709551614 n18446744073709551615"
        );
        // `format!` would panic on this padding.
        let padded = format!("n{}1", "0".repeat(70_000));
        assert_eq!(expanded(&fold([&padded])), padded);
        assert!(expand(&"a[1-2]".repeat(100)).is_err());
    }

    /// The same as `nodeset -f` prints.
    #[test]
    fn folds_as_clustershell_does() {
        let cases = [
            ("VM160 VM153 VM151 VM152 VM151", "VM[151-153,160]"),
            ("n10 n9 n1", "n[1,9-10]"),
            ("n1 n01 n2 n02", "n[1-2,01-02]"),
            ("n9 n10 n09", "n[9,09-10]"),
            ("n0 n10 n100 n099", "n[0,10,099-100]"),
            ("n0 n00 n000", "n[0,00,000]"),
            ("n1 n3 n5", "n[1,3,5]"),
            ("10.0.0.1 10.0.1.1 10.0.0.2", "10.0.0.[1-2],10.0.1.1"),
            ("r2-n1 r1-n1 r2-n2 r1-n2", "r[1-2]-n[1-2]"),
            ("r1-n1 r1-n2 r2-n1", "r1-n[1-2],r2-n1"),
            ("n1x1 n1x2 n2x1 n2x2 n5x7", "n[1-2]x[1-2],n5x7"),
            ("a1-1 a2-2", "a1-1,a2-2"),
            ("x1-01 x2-02 x1-02 x2-01 x1-1", "x1-[1,01-02],x2-[01-02]"),
            ("n1-ib n1 n2-ib n2", "n[1-2],n[1-2]-ib"),
            ("db web 2 1", "[1-2],db,web"),
            ("é2 é1", "é[1-2]"),
        ];
        for (names, pattern) in cases {
            assert_eq!(folded(names), pattern, "{names}");
        }
        assert_eq!(fold(Vec::<String>::new()), "");
    }

    /// Where `nodeset -f` prints another text: it orders groups by their text without numbers
    /// or by size, breaks ties in ragged sets otherwise, and counts beyond `u64`.
    #[test]
    fn folds_in_its_own_way() {
        let cases = [
            ("10.0.0.8 10.1.0.8 10.1.0.9", "10.0.0.8,10.1.0.[8-9]"),
            ("r1-n1 r2-n2 r2-n3", "r1-n1,r2-n[2-3]"),
            ("dc1-web dc2-db", "dc1-web,dc2-db"),
            (
                "d1r1n1 d1r2n1 d1r1n2 d1r2n2 d1r3n2 d2r1n2 d2r2n2 d2r3n2",
                "d1r[1-2]n1,d[1-2]r[1-3]n2",
            ),
            (
                "n18446744073709551616 n18446744073709551617",
                "n18446744073709551616,n18446744073709551617",
            ),
            ("a[1] a[2] b,c a[1]", "a[1],a[2],b,c"),
        ];
        for (names, pattern) in cases {
            assert_eq!(folded(names), pattern, "{names}");
        }
        assert_eq!(fold(["", "a"]), "a");
    }

    #[test]
    fn orders_naturally() {
        let ordered = [
            "",
            "1",
            "01",
            "2",
            "10",
            "B1",
            "a",
            "a1",
            "a1-b",
            "a2",
            "a02",
            "a10",
            "a99999999999999999999",
            "a100000000000000000000",
            "a-1",
            "ab",
            "é1",
            "é2",
        ];
        for pair in ordered.windows(2) {
            if let [one, other] = pair {
                assert_eq!(natural_cmp(one, other), Ordering::Less, "{one} {other}");
                assert_eq!(natural_cmp(other, one), Ordering::Greater, "{other} {one}");
            }
        }
    }

    /// Names that share templates, with mixed padding and up to three numbers.
    fn numbered_names() -> impl Strategy<Value = Vec<String>> {
        let name =
            "(n|r[0-3]-n|d[12]r0?[12]n|10\\.0\\.[01]\\.)(0{0,2}[0-9]|1[0-9]|9[89]|10[0-2])(-ib)?";
        vec(name, 0..60)
    }

    /// Names of anything that is not reserved, digits and huge numbers among them.
    fn odd_names() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof![
            "[^,\\[\\]\\s\\pC]{1,6}",
            "[aé%][0-9]{1,22}(-[0-9]{18,21})?b?",
            "([ab-][01]){1,9}"
        ];
        vec(
            name.prop_filter("reserved", |name| !name.chars().any(is_reserved)),
            0..30,
        )
    }

    proptest! {
        #[test]
        fn expanding_never_panics(pattern in prop_oneof!["\\PC{0,40}", "[n0-9\\[\\],/é-]{0,30}", any::<String>()]) {
            if let Err(error) = expand(&pattern) {
                prop_assert!((1..=pattern.len() + 1).contains(&error.column));
                prop_assert!(pattern.is_char_boundary(error.column - 1));
            }
        }

        #[test]
        fn folding_never_panics(names in vec(any::<String>(), 0..9)) {
            fold(names);
        }

        #[test]
        fn folding_keeps_the_set(names in prop_oneof![numbered_names(), odd_names()]) {
            let pattern = fold(&names);
            prop_assert_eq!(&pattern, &fold(names.iter().rev()));
            if names.is_empty() {
                return Ok(());
            }
            let read_back = expand(&pattern)?;
            prop_assert_eq!(&fold(&read_back), &pattern);
            let unique: BTreeSet<String> = names.into_iter().collect();
            prop_assert_eq!(read_back.len(), unique.len());
            prop_assert_eq!(read_back.into_iter().collect::<BTreeSet<_>>(), unique);
        }

        #[test]
        fn a_product_folds_into_one_group(racks in 2..9u8, nodes in 2..9u8, ports in 1..5u8) {
            let pattern = format!("r[1-{racks}]-n[01-0{nodes}]-p[0-{ports}]");
            prop_assert_eq!(fold(expand(&pattern)?), pattern);
        }

        #[test]
        fn natural_order_is_total(a in "[ab0-2-]{0,5}", b in "[ab0-2-]{0,5}", c in "[ab0-2-]{0,5}") {
            prop_assert_eq!(natural_cmp(&a, &b), natural_cmp(&b, &a).reverse());
            prop_assert_eq!(natural_cmp(&a, &b) == Ordering::Equal, a == b);
            if natural_cmp(&a, &b) == natural_cmp(&b, &c) {
                prop_assert_eq!(natural_cmp(&a, &b), natural_cmp(&a, &c));
            }
        }
    }
}
