//! What is wrong with an inventory, and where.

use std::fmt;

/// A fault in an inventory file, with the place and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryError {
    /// The file, as the operator named it.
    pub file: String,
    /// Line and column, from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: Option<String>,
}

impl InventoryError {
    /// Makes an error about a whole file.
    pub fn new(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            at: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for InventoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InventoryError {}

/// Returns `; did you mean …?` for the nearest of the names, or nothing where none is near.
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        // Two slips in a short word already make another word.
        .filter(|(distance, name)| *distance <= (name.len() / 4).max(1))
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
