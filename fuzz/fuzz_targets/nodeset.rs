//! Node sets: what is expanded folds, and expands to the same again.
#![no_main]

use std::collections::BTreeSet;

use clawfleet::model::nodeset::{expand, fold};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(names) = expand(text) else { return };
    if names.len() > 2000 || names.iter().any(|name| name.contains([',', '[', ']'])) {
        return;
    }
    let set: BTreeSet<&String> = names.iter().collect();
    let folded = fold(names.iter().map(String::as_str));
    let again = expand_all(&folded);
    assert_eq!(set, again.iter().collect());
});

/// A folded set is parts divided by commas outside of brackets.
fn expand_all(folded: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in folded.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("never empty").push(c);
    }
    parts
        .iter()
        .flat_map(|part| expand(part).expect("what fold writes can be read"))
        .collect()
}
