#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

fn at<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
    let value = read(text).unwrap();
    let found = value.at(path).unwrap()?;
    text.get(found.start..found.end)
}

#[test]
fn values_are_found_where_they_stand() {
    let text = "\u{feff}// a comment with { and \"\n{ agents: { 'defaults': { /* } */ \"model\" : \"a/b\", list: [1, {x: ']'},], }, }, n: -0x1F, }\n";
    assert_eq!(at(text, &["agents", "defaults", "model"]), Some("\"a/b\""));
    assert_eq!(
        at(text, &["agents", "defaults", "list"]),
        Some("[1, {x: ']'},]")
    );
    assert_eq!(at(text, &["n"]), Some("-0x1F"));
    assert_eq!(at(text, &["agents", "nothing"]), None);
    assert_eq!(at(text, &["n", "deeper"]), None);
}

#[test]
fn keys_and_strings_are_read_with_their_escapes() {
    let text = r#"{"mo\u0064el": 'a\
b\'\x41', "two": 1}"#;
    let value = read(text).unwrap();
    let model = value.at(&["model"]).unwrap().unwrap();
    assert_eq!(model.kind, Kind::Text("ab'A".into()));
}

#[test]
fn a_key_that_stands_twice_is_an_error_only_where_it_matters() {
    let text = "{a: {b: 1, b: 2}, c: 3}";
    assert_eq!(at(text, &["c"]), Some("3"));
    let value = read(text).unwrap();
    assert_eq!(
        value.at(&["a", "b"]),
        Err("`b` stands there twice".to_owned())
    );
}

#[test]
fn what_is_no_json5_is_refused_with_its_line() {
    let deep = "[".repeat(10_000);
    for (text, why) in [
        ("", "line 1: a value is missing"),
        ("{\na: 1\nb: 2}", "line 3: a comma is missing"),
        ("{a}", "line 1: a colon is missing"),
        ("{a: }", "line 1: a name or a value is missing"),
        ("{a: 'x\n'}", "line 2: a string does not end"),
        ("{a: 1} x", "line 1: something follows its end"),
        ("/* ", "line 1: a comment does not end"),
        ("{\\u0061: 1}", "line 1: a name is written with escapes"),
        ("[1 2]", "line 1: a comma is missing"),
        ("{a: \"\\u12\"}", "line 1: an escape is no number"),
        (&deep, "line 1: it is nested too deeply"),
    ] {
        assert_eq!(
            read(text).unwrap_err(),
            why,
            "{}",
            &text[..text.len().min(20)]
        );
    }
}

proptest! {
    /// Whatever is read, the places are within the text and in their order.
    #[test]
    fn places_are_places(text in "[{}\\[\\]:,'\"a-c/*\\\\ \n\u{e9}]{0,40}") {
        if let Ok(value) = read(&text) {
            prop_assert!(text.get(value.start..value.end).is_some());
            if let Kind::Object(object) = &value.kind {
                let mut from = value.start;
                for member in &object.members {
                    prop_assert!(from < member.start && member.start < member.value.start);
                    prop_assert!(text.get(member.value.start..member.value.end).is_some());
                    from = member.value.end;
                }
                prop_assert!(object.trailing_comma.is_none_or(|after| after > from && after < value.end));
            }
        }
    }

    /// What JSON is, is JSON5, with the same keys.
    #[test]
    fn json_is_read(keys in proptest::collection::vec(".{0,12}", 0..6)) {
        let object: serde_json::Map<String, serde_json::Value> =
            keys.iter().map(|key| (key.clone(), serde_json::Value::from(key.as_str()))).collect();
        let text = serde_json::to_string_pretty(&object).unwrap();
        let value = read(&text).unwrap();
        for key in &keys {
            let found = value.at(&[key]).unwrap().unwrap();
            // A character beyond the first 65536 may be written as two halves; serde_json does not.
            prop_assert_eq!(&found.kind, &Kind::Text(key.clone()));
        }
    }
}
