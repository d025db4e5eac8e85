//! What is wrong with a configuration, and where.

use std::fmt;

use super::options::Origin;

/// A fault in what OpenSSH's files or the inventory say, with the place and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshConfigError {
    /// The file, or the place in the inventory.
    pub file: String,
    /// The line, from 1; `None` where no line of a file is at fault.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: Option<String>,
}

impl SshConfigError {
    /// Makes an error about a line of a file.
    pub(super) fn line(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: Some(line),
            message: message.into(),
            hint: None,
        }
    }

    /// Makes an error about no line in particular.
    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Makes an error about a value that came from somewhere.
    pub(super) fn from(origin: &Origin, message: impl Into<String>) -> Self {
        match origin {
            Origin::File { file, line } => Self::line(file, *line, message),
            other => Self::whole(&other.to_string(), message),
        }
    }

    /// Adds what helps.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SshConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for SshConfigError {}

/// Returns `did you mean …?` for the nearest of the names, or nothing where none is near.
pub(super) fn did_you_mean<'a>(
    word: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let word = word.to_ascii_lowercase();
    names
        .into_iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&word, &name.to_ascii_lowercase());
            (distance, name)
        })
        // Two slips in a short word already make another word.
        .filter(|(distance, name)| *distance <= (name.len() / 4).max(1))
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
