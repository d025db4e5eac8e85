//! The exact change of a gateway's configuration that makes it use a model: what is inserted where. Every other byte
//! stays.

use super::json5::{self, Kind, Object, Value};
use crate::model::Splice;

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelChange {
    /// The model becomes a key of `agents.defaults.models`.
    List(String),
    /// `agents.defaults.model` (its `primary`, where it is an object) becomes another one.
    Primary(String),
}

/// A change as it is carried out, and as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What is replaced, in the order of the text.
    pub(super) splices: Vec<Splice>,
    /// Where it is: `agents.defaults.models, line 12`.
    pub(super) place: String,
    /// Lines with `-` and `+` before them. They hold nothing but names of models.
    pub(super) shown: Vec<String>,
    /// The text afterwards.
    pub(super) text: String,
}

/// Whether a text has the shape of a model's name: `provider/model`. It is written into a configuration.
pub fn is_model(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-:/@+".contains(c);
    name.len() <= 200
        && name.chars().all(fine)
        && name
            .split_once('/')
            .is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty())
}

/// Makes a change of a configuration's text.
///
/// # Errors
/// A sentence: why this text cannot be changed like that.
pub(super) fn edit(text: &str, change: &ModelChange) -> Result<Edit, String> {
    let (ModelChange::List(model) | ModelChange::Primary(model)) = change;
    if !is_model(model) {
        return Err(format!("`{model}` is no name of a model"));
    }
    let whole = json5::read(text)?;
    let (path, splices, shown) = match change {
        ModelChange::List(model) => {
            let path = "agents.defaults.models";
            let found = whole.at(&["agents", "defaults", "models"])?;
            let Some(Value {
                start,
                end,
                kind: Kind::Object(object),
            }) = found
            else {
                return Err(format!("{path} is not an object in this file itself"));
            };
            if object.members.iter().any(|member| member.key == *model) {
                return Err(format!("{path} lists {model} already"));
            }
            let splices = listed(text, (*start, *end), object, model);
            (path, splices, vec![format!("+ \"{model}\": {{}}")])
        }
        ModelChange::Primary(model) => {
            let found = whole.at(&["agents", "defaults", "model"])?;
            let (path, value) = match found.map(|value| (value, &value.kind)) {
                Some((value, Kind::Text(_))) => ("agents.defaults.model", Some(value)),
                Some((value, Kind::Object(_))) => {
                    ("agents.defaults.model.primary", value.at(&["primary"])?)
                }
                _ => ("agents.defaults.model", None),
            };
            let Some(Value {
                start,
                end,
                kind: Kind::Text(old),
            }) = value
            else {
                return Err(format!("{path} is not set in this file itself"));
            };
            let quote = text.get(*start..start + 1).unwrap_or("\"");
            let splices = vec![Splice {
                at: *start,
                removed: end - start,
                inserted: format!("{quote}{model}{quote}"),
            }];
            let old = crate::model::sanitize(old);
            let shown = vec![format!("- \"{old}\""), format!("+ \"{model}\"")];
            (path, splices, shown)
        }
    };
    let at = splices.last().map_or(0, |splice| splice.at);
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let text = spliced(text, &splices).ok_or("it cannot be cut there")?;
    // Whoever wrote it may have put commas and comments where nobody expects them.
    let there = json5::read(&text).and_then(|whole| is_made(&whole, change));
    if !matches!(there, Ok(true)) {
        return Err("it is written so that this change cannot be made safely".into());
    }
    Ok(Edit {
        place: format!("{path}, line {line}"),
        text,
        splices,
        shown,
    })
}

/// Whether a change stands in a text.
fn is_made(whole: &Value, change: &ModelChange) -> Result<bool, String> {
    let defaults = |key| whole.at(&["agents", "defaults", key]);
    Ok(match change {
        ModelChange::List(model) => match defaults("models")?.map(|value| &value.kind) {
            Some(Kind::Object(object)) => object.members.iter().any(|member| member.key == *model),
            _ => false,
        },
        ModelChange::Primary(model) => {
            let now = match defaults("model")? {
                Some(value) if matches!(value.kind, Kind::Object(_)) => value.at(&["primary"])?,
                other => other,
            };
            now.is_some_and(|value| value.kind == Kind::Text(model.clone()))
        }
    })
}

/// A text with its splices made.
fn spliced(text: &str, splices: &[Splice]) -> Option<String> {
    let mut out = String::new();
    let mut from = 0;
    for splice in splices {
        out.push_str(text.get(from..splice.at)?);
        out.push_str(&splice.inserted);
        from = splice.at.checked_add(splice.removed)?;
    }
    out.push_str(text.get(from..)?);
    Some(out)
}

/// The splices that add a key at an object's end, written as its neighbours are.
fn listed(text: &str, (start, end): (usize, usize), object: &Object, model: &str) -> Vec<Splice> {
    let insert = |at: usize, inserted: String| Splice {
        at,
        removed: 0,
        inserted,
    };
    let Some(last) = object.members.last() else {
        return vec![insert(start + 1, format!("\"{model}\": {{}}"))];
    };
    let line_start = |at: usize| {
        text.get(..at)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |newline| newline + 1)
    };
    // On a line of its own where its neighbour is: with that one's indentation, after whatever comments follow it.
    let indent = text.get(line_start(last.start)..last.start).unwrap_or("");
    let own_line = indent.chars().all(|c| c == ' ' || c == '\t') && line_start(last.start) > start;
    let closing = line_start(end - 1);
    let comma = object.trailing_comma.is_some();
    if own_line && closing > last.value.end {
        let newline = if text
            .get(..closing)
            .is_some_and(|text| text.ends_with("\r\n"))
        {
            "\r\n"
        } else {
            "\n"
        };
        let tail = if comma { "," } else { "" };
        let entry = insert(closing, format!("{indent}\"{model}\": {{}}{tail}{newline}"));
        if comma {
            return vec![entry];
        }
        return vec![insert(last.value.end, ",".into()), entry];
    }
    match object.trailing_comma {
        Some(after) => vec![insert(after, format!(" \"{model}\": {{}},"))],
        None => vec![insert(last.value.end, format!(", \"{model}\": {{}}"))],
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
