//! Two versions of a file, compared.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::model::DiffLine;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// How long the shortest change is looked for; after that a longer one will do. Hosts write what is compared.
const LONGEST: Duration = Duration::from_millis(500);

/// Compares two versions of a file, as `diff -u` does. `path` is for its caller's headline: it is not in
/// the lines, so that the same change of several hosts is the same diff. A file that is not there has no
/// lines; a last line without its end is said to have none, as `diff` says it.
pub fn diff(path: &str, before: Option<&str>, after: Option<&str>) -> Vec<DiffLine> {
    let _ = path;
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let texts = TextDiff::configure()
        .timeout(LONGEST)
        .diff_lines(before, after);
    let mut lines = Vec::new();
    for hunk in texts.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(DiffLine::Hunk(hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let mut text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            if change.value().ends_with("\r\n") {
                text.push('\r');
            }
            if !change.value().ends_with('\n') {
                text.push_str(" \\ No newline at end of file");
            }
            lines.push(match change.tag() {
                ChangeTag::Equal => DiffLine::Same(text),
                ChangeTag::Delete => DiffLine::Removed(text),
                ChangeTag::Insert => DiffLine::Added(text),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_has_three_lines_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let same = |text: &str| DiffLine::Same(text.into());
        assert_eq!(
            diff("/x", Some(before), Some(after)),
            [
                DiffLine::Hunk("@@ -2,7 +2,7 @@".into()),
                same("2"),
                same("3"),
                same("4"),
                DiffLine::Removed("5".into()),
                DiffLine::Added("five".into()),
                same("6"),
                same("7"),
                same("8"),
            ]
        );
    }

    #[test]
    fn files_that_come_and_go() {
        assert_eq!(
            diff("/x", None, Some("a\n")),
            [
                DiffLine::Hunk("@@ -0,0 +1 @@".into()),
                DiffLine::Added("a".into())
            ]
        );
        assert_eq!(
            diff("/x", Some("a"), None),
            [
                DiffLine::Hunk("@@ -1 +0,0 @@".into()),
                DiffLine::Removed("a \\ No newline at end of file".into())
            ]
        );
        assert!(diff("/x", None, None).is_empty());
        assert!(diff("/x", Some("a\n"), Some("a\n")).is_empty());
    }

    proptest! {
        #[test]
        fn only_equal_texts_have_no_diff(a in "[ab\n]{0,20}", b in "[ab\n]{0,20}") {
            prop_assert_eq!(diff("", Some(&a), Some(&b)).is_empty(), a == b);
        }
    }
}
