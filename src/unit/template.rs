//! The templates: the built-in texts, what an operator puts in their places, and what is wrong with one.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use sha2::{Digest, Sha256};

use super::quote;
use super::variables::{VARIABLES, VariableDescription};
use crate::model::PROFILES;

/// The built-in texts by file name.
const EMBEDDED: [(&str, &str); 6] = [
    (
        "50-clawfleet.conf.j2",
        include_str!("../../templates/50-clawfleet.conf.j2"),
    ),
    ("baseline.j2", include_str!("../../templates/baseline.j2")),
    ("guard.sh", include_str!("../../templates/guard.sh")),
    (
        "openclaw-gateway.system.service.j2",
        include_str!("../../templates/openclaw-gateway.system.service.j2"),
    ),
    (
        "openclaw-gateway.user.service.j2",
        include_str!("../../templates/openclaw-gateway.user.service.j2"),
    ),
    ("strict.j2", include_str!("../../templates/strict.j2")),
];

/// The script of the guard before a start. It is no template.
pub(super) const GUARD: &str = "guard.sh";

/// The texts that units are rendered from.
pub struct Templates {
    texts: BTreeMap<String, String>,
    environment: Environment<'static>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Templates").field(&self.digest()).finish()
    }
}

/// What is wrong with a template or with what it is given, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// The template's file name, or the variable that is at fault.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: Option<String>,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for TemplateFault {}

impl TemplateFault {
    /// Makes a fault of a whole file or of a variable.
    pub(super) fn new(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A profile, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileDescription {
    /// Its name.
    pub name: &'static str,
    /// What it does, a line.
    pub summary: &'static str,
    /// What an inventory's `vars` may set for it, those of the profiles that it includes first.
    pub variables: Vec<VariableDescription>,
}

impl Templates {
    /// Returns the built-in templates.
    pub fn embedded() -> Self {
        // What is built in is parsed by a test; a text that would not parse shows where it is rendered.
        Self::build(embedded_texts()).0
    }

    /// Returns the built-in templates with some of them replaced, by file name.
    ///
    /// # Errors
    /// A name that is not one of them, or the first text that is no template, with its place.
    pub fn with(overrides: BTreeMap<String, String>) -> Result<Self, TemplateFault> {
        let mut texts = embedded_texts();
        for (name, text) in overrides {
            let known = texts.keys().cloned().collect::<Vec<_>>().join(", ");
            match texts.get_mut(&name) {
                Some(mine) => *mine = text,
                None => {
                    let fault = TemplateFault::new(&name, "there is no template of that name");
                    return Err(fault.hint(format!("the names are {known}")));
                }
            }
        }
        let (templates, fault) = Self::build(texts);
        match fault {
            None => Ok(templates),
            Some(fault) => Err(fault),
        }
    }

    fn build(texts: BTreeMap<String, String>) -> (Self, Option<TemplateFault>) {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(true);
        // Tags on lines of their own leave no blank lines. This builder fails only for odd delimiters.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build();
        if let Ok(syntax) = syntax {
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("unit_arg", |text: &str| quote::script(text));
        environment.add_filter("unit_path", |text: &str| quote::path(text));
        let mut fault = None;
        for (name, text) in &texts {
            if name == GUARD {
                continue;
            }
            if let Err(error) = environment.add_template_owned(name.clone(), text.clone()) {
                fault.get_or_insert_with(|| fault_of(&error, &texts));
            }
        }
        (Self { texts, environment }, fault)
    }

    /// Returns the profiles, the weaker one first.
    pub fn profiles(&self) -> Vec<ProfileDescription> {
        let summary = |name: &str| match name {
            "strict" => {
                "baseline, and a sandbox: everything read-only but the gateway's state, no new privileges, \
                 no devices; what agents run is in it too"
            }
            _ => "a gateway that ends is started again, a loop ends, a stop leaves nothing behind",
        };
        PROFILES
            .into_iter()
            .enumerate()
            .map(|(rank, name)| ProfileDescription {
                name,
                summary: summary(name),
                variables: VARIABLES
                    .iter()
                    .filter(|variable| {
                        let of = PROFILES
                            .iter()
                            .position(|profile| *profile == variable.profile);
                        of.is_none_or(|of| of <= rank)
                    })
                    .map(|variable| variable.describe())
                    .collect(),
            })
            .collect()
    }

    /// Returns SHA-256 over all names and texts, in hex.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, text) in &self.texts {
            // With their lengths, so that no text can pass for two.
            for part in [name, text] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part.as_bytes());
            }
        }
        let mut hex = String::with_capacity(64);
        for byte in hasher.finalize() {
            hex.push_str(&format!("{byte:02x}"));
        }
        hex
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// Renders one of the templates.
    pub(super) fn render(
        &self,
        name: &str,
        context: &BTreeMap<String, serde_json::Value>,
    ) -> Result<String, TemplateFault> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(Serde(context)))
            .map_err(|error| fault_of(&error, &self.texts))
    }

    /// Returns the names that the templates use and do not set, for the test of their documentation.
    #[cfg(test)]
    pub(super) fn names(&self) -> std::collections::BTreeSet<String> {
        self.environment
            .templates()
            .flat_map(|(_, template)| template.undeclared_variables(false))
            .collect()
    }
}

fn embedded_texts() -> BTreeMap<String, String> {
    EMBEDDED
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

/// The innermost fault: of a text that is included, not of the one that includes it.
fn fault_of(error: &Error, texts: &BTreeMap<String, String>) -> TemplateFault {
    let mut innermost = error;
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(source) = next {
        match source.downcast_ref::<Error>() {
            Some(inner) if inner.name().is_some() => innermost = inner,
            _ => {}
        }
        next = source.source();
    }
    let file = innermost.name().unwrap_or("template").to_owned();
    let text = texts.get(&file).map_or("", String::as_str);
    let range = innermost.range();
    let line = innermost.line().and_then(|line| u32::try_from(line).ok());
    let column = range.as_ref().and_then(|range| {
        let before = text.get(..range.start)?;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        u32::try_from(before.get(start..)?.chars().count() + 1).ok()
    });
    let expression = range
        .and_then(|range| text.get(range))
        .map(str::trim)
        .filter(|expression| !expression.is_empty() && !expression.contains('\n'));
    let mut fault = TemplateFault {
        file,
        line,
        column,
        message: String::new(),
        hint: None,
    };
    match (innermost.kind(), expression) {
        (ErrorKind::UndefinedError, Some(expression)) => {
            fault.message = format!("`{expression}` is undefined");
            fault.hint = Some(
                "set it under `vars` in the inventory; `clawfleet harden --list-profiles` names the known ones"
                    .to_owned(),
            );
        }
        (kind, _) => {
            fault.message = match innermost.detail() {
                Some(detail) => format!("{kind}: {detail}"),
                None => kind.to_string(),
            };
        }
    }
    fault
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
