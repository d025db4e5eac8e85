#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

fn list(text: &str) -> Result<String, String> {
    edit(text, &ModelChange::List("p2/m2".into())).map(|edit| edit.text)
}

fn primary(text: &str) -> Result<Edit, String> {
    edit(text, &ModelChange::Primary("p2/m2".into()))
}

#[test]
fn a_model_is_listed_as_its_neighbours_are_written() {
    let defaults = |models: &str| format!("{{agents: {{defaults: {{models: {models}}}}}}}");
    for (before, after) in [
        ("{}", "{\"p2/m2\": {}}"),
        ("{\"a/b\":{}}", "{\"a/b\":{}, \"p2/m2\": {}}"),
        ("{\"a/b\":{},}", "{\"a/b\":{}, \"p2/m2\": {},}"),
        (
            "{ 'a/b': {alias: 'x'} /* y */ }",
            "{ 'a/b': {alias: 'x'}, \"p2/m2\": {} /* y */ }",
        ),
        (
            "{\n    \"a/b\": {}\n  }",
            "{\n    \"a/b\": {},\n    \"p2/m2\": {}\n  }",
        ),
        (
            "{\n\t\"a/b\": {}, // the old one\n\t// until spring\n}",
            "{\n\t\"a/b\": {}, // the old one\n\t// until spring\n\t\"p2/m2\": {},\n}",
        ),
        (
            "{\n  \"a/b\": {} // the old one\n}",
            "{\n  \"a/b\": {}, // the old one\n  \"p2/m2\": {}\n}",
        ),
        (
            "{\r\n  \"a/b\": {},\r\n}",
            "{\r\n  \"a/b\": {},\r\n  \"p2/m2\": {},\r\n}",
        ),
        (
            "{\n  \"a/b\": {\n    alias: 'x',\n  },\n}",
            "{\n  \"a/b\": {\n    alias: 'x',\n  },\n  \"p2/m2\": {},\n}",
        ),
    ] {
        assert_eq!(
            list(&defaults(before)).unwrap(),
            defaults(after),
            "{before}"
        );
    }
}

#[test]
fn what_cannot_be_changed_safely_is_not() {
    for (text, why) in [
        (
            "{agents: {}}",
            "agents.defaults.models is not an object in this file itself",
        ),
        (
            "{agents: {$include: './agents.json5'}}",
            "agents.defaults.models is not an object in this file itself",
        ),
        (
            "{agents: {defaults: {models: {'p2/m2': {}}}}}",
            "agents.defaults.models lists p2/m2 already",
        ),
        (
            "{agents: {defaults: {models: {}, models: {}}}}",
            "`models` stands there twice",
        ),
        (
            "{agents: {defaults: {models: {\n 'a/b': {}\n , }}}}",
            "it is written so that this change cannot be made safely",
        ),
        ("{agents: {defaults: ", "line 1: a value is missing"),
    ] {
        assert_eq!(list(text).unwrap_err(), why, "{text}");
    }
    let odd = edit("{}", &ModelChange::List("p/m\"}".into()));
    assert_eq!(odd.unwrap_err(), "`p/m\"}` is no name of a model");
}

#[test]
fn a_primary_is_replaced_in_both_of_its_shapes() {
    let text = "// ours\n{\n  agents: {defaults: {\n    model: {primary: 'gone/x', fallbacks: ['p2/m2']},\n  }},\n  gateway: {auth: {token: 'geheim'}}, // keep\n}\n";
    let made = primary(text).unwrap();
    assert_eq!(made.text, text.replace("'gone/x'", "'p2/m2'"));
    assert_eq!(made.place, "agents.defaults.model.primary, line 4");
    assert_eq!(made.shown, ["- \"gone/x\"", "+ \"p2/m2\""]);
    assert!(!format!("{:?}", (&made.splices, &made.shown)).contains("geheim"));
    let plain = primary("{agents: {defaults: {model: \"gone/x\"}}}").unwrap();
    assert_eq!(plain.text, "{agents: {defaults: {model: \"p2/m2\"}}}");
    let unset = primary("{agents: {defaults: {model: {}}}}").unwrap_err();
    assert_eq!(
        unset,
        "agents.defaults.model.primary is not set in this file itself"
    );
}

/// Blanks and comments, as people write them.
fn gap() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "",
        " ",
        "\n",
        "\n    ",
        "\t",
        " // note, {\n",
        " /* } */ ",
        "\r\n  ",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    /// However it is written: it is made or refused, every other byte stays, and what was listed is listed still.
    #[test]
    fn every_other_byte_stays(
        count in 0_usize..4, gaps in proptest::collection::vec(gap(), 20), comma: bool, quote in "['\"]",
    ) {
        let mut gaps = gaps.into_iter().cycle();
        let mut gap = || gaps.next().unwrap();
        let mut text = format!("{{agents:{{defaults:{{models:{}{{", gap());
        for number in 0..count {
            text += &format!("{}{quote}a/{number}{quote}{}:{}{{alias:{}'x'}}{}", gap(), gap(), gap(), gap(), gap());
            if number + 1 < count || comma {
                text.push(',');
            }
        }
        text += &format!("{}}}}}}},key:'geheim'}}", gap());
        let Ok(edit) = edit(&text, &ModelChange::List("p2/m2".into())) else {
            return Ok(());
        };
        let inserted: usize = edit.splices.iter().map(|splice| splice.inserted.len()).sum();
        prop_assert_eq!(edit.text.len(), text.len() + inserted);
        prop_assert!(edit.splices.iter().all(|splice| splice.removed == 0));
        let keys = |text: &str| -> Vec<String> {
            let whole = json5::read(text).unwrap();
            match &whole.at(&["agents", "defaults", "models"]).unwrap().unwrap().kind {
                Kind::Object(object) => object.members.iter().map(|member| member.key.clone()).collect(),
                _ => Vec::new(),
            }
        };
        let mut wanted = keys(&text);
        wanted.push("p2/m2".into());
        prop_assert_eq!(keys(&edit.text), wanted);
    }
}
