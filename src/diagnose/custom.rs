//! The operator's own checks. Whatever goes wrong with one is that check's own warning, and says
//! nothing about the host.

use crate::model::{
    CheckEnd, CheckFailure, CheckRead, CheckRun, CheckSpec, Class, CodeMeaning, Condition,
    Evidence, Facts, Finding, Host, Pattern, Severity, Subject, number,
};

/// How many lines of a script's output are shown.
const SHOWN: usize = 2;

/// Judges what the host's checks printed. Where the probe never came to them, nothing is said: that
/// the probe was cut off is told already.
pub(super) fn check(host: &Host, facts: &Facts) -> Vec<Finding> {
    let Some(runs) = facts.checks.known() else {
        return Vec::new();
    };
    host.checks
        .iter()
        .filter_map(|spec| {
            let run = runs.iter().find(|run| run.name == spec.name);
            let (severity, evidence) = match judge(spec, run) {
                Ok(found) => found?,
                Err(failure) => (Severity::Warning, failed(failure, run)),
            };
            let subject = Subject::Check(spec.name.clone());
            Some(Finding {
                severity,
                ..Finding::new(Class::Custom, subject, evidence)
            })
        })
        .collect()
}

type Found = Option<(Severity, Vec<Evidence>)>;

fn judge(spec: &CheckSpec, run: Option<&CheckRun>) -> Result<Found, CheckFailure> {
    let run = run.ok_or(CheckFailure::NotRun)?;
    let code = match run.end {
        CheckEnd::Exited(code) => code,
        CheckEnd::TimedOut => return Err(CheckFailure::TimedOut(spec.limit_s())),
        CheckEnd::NotUnderstood => return Err(CheckFailure::NotUnderstood),
        CheckEnd::Flooded => return Err(CheckFailure::Flooded),
        CheckEnd::Unknown => return Err(CheckFailure::NotRun),
    };
    if let CheckRead::Exit(codes) = &spec.read {
        return match codes.get(&code) {
            Some(CodeMeaning::Fine) => Ok(None),
            Some(CodeMeaning::Finding(severity)) => {
                let severity = *severity;
                let mut evidence = vec![Evidence::CheckExit { code, severity }];
                evidence.extend(printed(run));
                Ok(Some((severity, evidence)))
            }
            Some(CodeMeaning::Failed) | None => Err(CheckFailure::Exited(code)),
        };
    }
    // A script that failed may have looked at nothing: "no match" would then be no answer.
    if code != 0 {
        return Err(CheckFailure::Exited(code));
    }
    match &spec.read {
        CheckRead::Exit(_) => Ok(None),
        CheckRead::Number => {
            let first = run.output.first().map_or("", String::as_str);
            let word = first.split_whitespace().next().unwrap_or_default();
            if number(word).is_none() {
                return Err(CheckFailure::NoNumber(first.to_owned()));
            }
            held_against(spec, word)
        }
        CheckRead::Regex(pattern) => matched(spec, pattern, run),
        CheckRead::Json(path) => {
            if run.cut {
                return Err(CheckFailure::Cut);
            }
            held_against(spec, &value_at(path, &run.output.join("\n"))?)
        }
    }
}

/// Holds a value against the thresholds, the worse one first.
fn held_against(spec: &CheckSpec, value: &str) -> Result<Found, CheckFailure> {
    for (severity, condition) in spec.conditions() {
        match condition.holds(value) {
            Some(false) => {}
            Some(true) => {
                let evidence = Evidence::CheckRead {
                    value: value.to_owned(),
                    condition: condition.to_string(),
                };
                return Ok(Some((severity, vec![evidence])));
            }
            None => {
                return Err(CheckFailure::NotComparable {
                    value: value.to_owned(),
                    condition: condition.to_string(),
                });
            }
        }
    }
    Ok(None)
}

fn matched(spec: &CheckSpec, pattern: &Pattern, run: &CheckRun) -> Result<Found, CheckFailure> {
    let text = run.output.join("\n");
    let found = pattern.find(&text);
    let mut failure = None;
    for (severity, condition) in spec.conditions() {
        let evidence = match (condition, found) {
            (Condition::Match, Some((_, line))) => vec![Evidence::CheckPrinted(line.to_owned())],
            (Condition::Match | Condition::NoMatch | Condition::Compare(..), None) if run.cut => {
                failure = Some(CheckFailure::Cut);
                continue;
            }
            (Condition::NoMatch, None) => vec![Evidence::CheckNoMatch {
                pattern: pattern.to_string(),
            }],
            (Condition::Match, None) | (Condition::NoMatch, Some(_)) => continue,
            (Condition::Compare(..), None) => {
                failure = Some(CheckFailure::NoMatch(pattern.to_string()));
                continue;
            }
            (Condition::Compare(..), Some((value, line))) => match condition.holds(value) {
                Some(false) => continue,
                Some(true) => vec![
                    Evidence::CheckRead {
                        value: value.to_owned(),
                        condition: condition.to_string(),
                    },
                    Evidence::CheckPrinted(line.to_owned()),
                ],
                None => {
                    failure = Some(CheckFailure::NotComparable {
                        value: value.to_owned(),
                        condition: condition.to_string(),
                    });
                    continue;
                }
            },
        };
        return Ok(Some((severity, evidence)));
    }
    failure.map_or(Ok(None), Err)
}

/// The value at a path of a JSON document, as text.
fn value_at(path: &[String], text: &str) -> Result<String, CheckFailure> {
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|error| CheckFailure::NoJson(error.to_string()))?;
    let mut value = &document;
    for part in path {
        let inner = match value {
            serde_json::Value::Object(map) => map.get(part),
            serde_json::Value::Array(list) => {
                part.parse::<usize>().ok().and_then(|place| list.get(place))
            }
            _ => None,
        };
        value = inner.ok_or_else(|| CheckFailure::NoPath(path.join(".")))?;
    }
    Ok(match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn printed(run: &CheckRun) -> impl Iterator<Item = Evidence> {
    run.output
        .iter()
        .take(SHOWN)
        .cloned()
        .map(Evidence::CheckPrinted)
}

fn failed(failure: CheckFailure, run: Option<&CheckRun>) -> Vec<Evidence> {
    let mut evidence = vec![Evidence::CheckFailed(failure)];
    let errors = run.into_iter().flat_map(|run| &run.errors).take(SHOWN);
    evidence.extend(errors.cloned().map(Evidence::CheckPrinted));
    // Some scripts say what is wrong on their output.
    if evidence.len() == 1
        && let Some(run) = run
        && let CheckEnd::Exited(code) = run.end
        && code != 0
    {
        evidence.extend(printed(run));
    }
    evidence
}
