//! Stub until the unit room is merged.
use crate::model::{DiffLine, Shape, UnitScope};
use std::collections::BTreeMap;
#[derive(Debug)]
pub struct Templates;
#[derive(Debug)]
pub struct TemplateFault {
    pub message: String,
    pub hint: Option<String>,
}
impl std::fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
impl Templates {
    pub fn embedded() -> Self {
        Self
    }
    pub fn with(_: BTreeMap<String, String>) -> Result<Self, TemplateFault> {
        Ok(Self)
    }
}
#[derive(Debug, Clone, Copy)]
pub struct RenderRequest<'a> {
    pub profile: &'a str,
    pub shape: Shape,
    pub scope: &'a UnitScope,
    pub unit: &'a str,
    pub gateway_version: Option<&'a str>,
    pub systemd: Option<u32>,
    pub port: u16,
    pub home: Option<&'a str>,
    pub state_dir: Option<&'a str>,
    pub config_path: Option<&'a str>,
    pub existing: Option<&'a str>,
    pub vars: &'a BTreeMap<String, serde_json::Value>,
}
pub struct Rendered {
    pub text: String,
    pub settings: Vec<UnitSetting>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSetting {
    pub section: String,
    pub key: String,
    pub value: String,
}
pub fn render(_: &Templates, r: &RenderRequest<'_>) -> Result<Rendered, TemplateFault> {
    let mut env = minijinja::Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let (y, m) = r
        .gateway_version
        .and_then(super::year_and_month)
        .unwrap_or_default();
    let text =
        env.render_str(
            super::BASELINE,
            minijinja::context! {version_month => vec![y,m]},
        )
        .map_err(|e| TemplateFault {
            message: e.to_string(),
            hint: None,
        })? + "\n";
    Ok(Rendered {
        settings: settings(&text),
        text,
    })
}
pub fn settings(text: &str) -> Vec<UnitSetting> {
    let mut section = String::new();
    let mut out = vec![];
    for l in text.lines() {
        let l = l.trim();
        if l.starts_with('#') || l.is_empty() {
            continue;
        }
        if l.starts_with('[') {
            section = l.trim_matches(['[', ']']).to_owned();
            continue;
        }
        if let Some((k, v)) = l.split_once('=') {
            out.push(UnitSetting {
                section: section.clone(),
                key: k.trim().into(),
                value: v.trim().into(),
            })
        }
    }
    out
}
pub fn lines_with_secrets(text: &str) -> bool {
    text.contains("TOKEN=")
}
pub fn diff(_: &str, before: Option<&str>, after: Option<&str>) -> Vec<DiffLine> {
    let d = similar::TextDiff::from_lines(before.unwrap_or(""), after.unwrap_or(""));
    d.iter_all_changes()
        .map(|c| {
            let s = c.value().trim_end().to_owned();
            match c.tag() {
                similar::ChangeTag::Equal => DiffLine::Same(s),
                similar::ChangeTag::Delete => DiffLine::Removed(s),
                similar::ChangeTag::Insert => DiffLine::Added(s),
            }
        })
        .collect()
}
#[derive(Debug)]
pub enum InForce {
    Yes,
    No { now: String, then: String },
    Unknown,
}
fn prop(k: &str) -> String {
    if let Some(s) = k.strip_suffix("Sec") {
        format!("{s}USec")
    } else {
        k.to_owned()
    }
}
fn canon(v: &str) -> String {
    let v = v.trim();
    match v {
        "5s" => "5".into(),
        "30s" => "30".into(),
        "5min" => "300".into(),
        "5min 30s" => "330".into(),
        _ => v.to_owned(),
    }
}
pub fn in_force(s: &UnitSetting, shown: &BTreeMap<String, String>) -> InForce {
    match shown.get(&prop(&s.key)) {
        None => InForce::Unknown,
        Some(now) if canon(now) == canon(&s.value) => InForce::Yes,
        Some(now) => InForce::No {
            now: now.clone(),
            then: s.value.clone(),
        },
    }
}
pub fn shown_names(s: &[UnitSetting]) -> Vec<String> {
    s.iter().map(|s| prop(&s.key)).collect()
}
pub fn needs_restart(key: &str) -> bool {
    key.starts_with("Env")
        || key.starts_with("Protect")
        || key.starts_with("Exec")
        || key.starts_with("NoNew")
}
