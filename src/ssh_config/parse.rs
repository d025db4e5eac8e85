//! Files as lists of statements, the included ones in their places.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::criteria::{self, Criterion};
use super::error::{SshConfigError, did_you_mean};
use super::keywords::{self, KEYWORDS, Row, Standing};
use super::lex::{self, Words};
use super::value::{self, Value};
use super::{Bastion, World};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// How many bytes all files together may have. A file counts as often as it is included.
pub const MAX_BYTES: usize = 8 << 20;
/// How many files are read, each as often as it is included.
pub const MAX_FILES: usize = 1024;
/// How deep files may include others, as in OpenSSH.
const MAX_DEPTH: usize = 16;

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    /// Whether it is the user's, not the system's.
    pub(super) user: bool,
    pub(super) lines: Vec<Line>,
}

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) statement: Statement,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// Patterns that the name must match.
    Host(Vec<String>),
    /// Criteria that must hold.
    Match(Vec<Criterion>),
    /// Other files.
    Include(Vec<Source>),
    /// A keyword with its value.
    Set(&'static Row, Value),
    /// A keyword that nobody knows. Whether that is an error depends on what `IgnoreUnknown` says by then.
    Unknown(String),
}

/// A keyword that is read past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The keyword.
    pub keyword: &'static str,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Why it does nothing here.
    pub why: &'static str,
}

/// Reads files; counts what it reads.
pub(super) struct Reader<'a> {
    pub(super) bastion: &'a Bastion,
    pub(super) world: &'a dyn World,
    files: usize,
    bytes: usize,
    pub(super) ignored: Vec<Ignored>,
    pub(super) wants_last: bool,
}

/// A file that is about to be read.
struct Place<'a> {
    name: &'a Arc<str>,
    user: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bastion: &'a Bastion, world: &'a dyn World) -> Self {
        Self {
            bastion,
            world,
            files: 0,
            bytes: 0,
            ignored: Vec::new(),
            wants_last: false,
        }
    }

    /// Reads a file and all that it includes; `None` if there is no such file.
    pub(super) fn file(
        &mut self,
        path: &Path,
        check_owner: bool,
        user: bool,
        depth: usize,
    ) -> Result<Option<Source>, SshConfigError> {
        let name: Arc<str> = path.display().to_string().into();
        let text = self
            .world
            .read(path, check_owner)
            .map_err(|sentence| SshConfigError::whole(&name, sentence))?;
        let Some(text) = text else {
            return Ok(None);
        };
        self.count(&name, &text)?;
        let place = Place {
            name: &name,
            user,
            depth,
        };
        let lines = self.lines(&place, &text)?;
        Ok(Some(Source { name, user, lines }))
    }

    fn count(&mut self, name: &str, text: &str) -> Result<(), SshConfigError> {
        self.files += 1;
        self.bytes += text.len();
        let wrong = if text.len() > MAX_FILE_BYTES {
            "the file is larger than 1 MiB"
        } else if self.bytes > MAX_BYTES {
            "with this file there are more than 8 MiB of configuration"
        } else if self.files > MAX_FILES {
            "more than 1024 files are included"
        } else if text.contains('\0') {
            "the file is no text"
        } else {
            return Ok(());
        };
        Err(SshConfigError::whole(name, wrong)
            .hint("look for files that include themselves or each other"))
    }

    fn lines(&mut self, place: &Place<'_>, text: &str) -> Result<Vec<Line>, SshConfigError> {
        let mut lines = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let number = index + 1;
            if let Some(statement) = self.statement(place, number, line)? {
                lines.push(Line { number, statement });
            }
        }
        Ok(lines)
    }

    fn statement(
        &mut self,
        place: &Place<'_>,
        number: usize,
        line: &str,
    ) -> Result<Option<Statement>, SshConfigError> {
        let wrong = |message: String| SshConfigError::line(place.name, number, message);
        let Some((keyword, rest, words)) = cut(line).map_err(wrong)? else {
            return Ok(None);
        };
        let statement = match keyword.as_str() {
            "host" if words.iter().any(String::is_empty) => {
                return Err(wrong("Host has an empty pattern".to_owned()));
            }
            "host" => Statement::Host(words),
            "match" => {
                let read = criteria::criteria(rest, !words.is_empty()).map_err(wrong)?;
                self.wants_last |= read.wants_last;
                Statement::Match(read.list)
            }
            "include" => Statement::Include(self.include(place, number, &words)?),
            _ => {
                let set = set(keyword, rest, words, self.world).map_err(wrong)?;
                self.note(place, number, &set);
                set
            }
        };
        Ok(Some(statement))
    }

    /// Remembers a keyword that is read past, if it asks for something.
    fn note(&mut self, place: &Place<'_>, number: usize, statement: &Statement) {
        let Statement::Set(row, value) = statement else {
            return;
        };
        let idle = matches!(value, Value::One(word) if row.harmless.contains(&word.as_str()));
        if row.standing == Standing::Ignored && !idle {
            self.ignored.push(Ignored {
                keyword: row.name,
                file: place.name.to_string(),
                line: number,
                why: row.what,
            });
        }
    }

    fn include(
        &mut self,
        place: &Place<'_>,
        number: usize,
        patterns: &[String],
    ) -> Result<Vec<Source>, SshConfigError> {
        let wrong = |message: String| SshConfigError::line(place.name, number, message);
        let mut found = Vec::new();
        for pattern in patterns {
            let pattern = self.anchored(pattern, place.user).map_err(wrong)?;
            for path in self.world.glob(&pattern) {
                if place.depth >= MAX_DEPTH {
                    let error = wrong("files include each other more than 16 deep".to_owned());
                    return Err(error.hint("look for a file that includes itself"));
                }
                let source = self.file(&path, true, place.user, place.depth + 1)?;
                found.push(source.ok_or_else(|| {
                    wrong(format!("cannot open the included file {}", path.display()))
                })?);
            }
        }
        Ok(found)
    }

    /// Makes a pattern's path whole: what is relative is beside the user's or the system's files.
    fn anchored(&self, pattern: &str, user: bool) -> Result<String, String> {
        let home = self.bastion.home.display();
        if pattern.is_empty() {
            return Err("Include has an empty argument".to_owned());
        }
        if pattern.starts_with('/') {
            return Ok(pattern.to_owned());
        }
        if let Some(rest) = pattern.strip_prefix('~') {
            if !user {
                return Err(format!("a system's file cannot include `{pattern}`"));
            }
            let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
            if name.is_empty() {
                return Ok(format!("{home}/{path}"));
            }
            return match self.world.home_of(name) {
                Some(home) => Ok(format!("{}/{path}", home.display())),
                None => Err(format!("there is no user `{name}` here")),
            };
        }
        Ok(match user {
            true => format!("{home}/.ssh/{pattern}"),
            false => format!("/etc/ssh/{pattern}"),
        })
    }
}

/// A keyword, what follows it, and that in words.
type Cut<'a> = (String, &'a str, Vec<String>);

/// Cuts a line into its keyword and its arguments.
fn cut(line: &str) -> Result<Option<Cut<'_>>, String> {
    match lex::keyword(line) {
        Words::Nothing => Ok(None),
        // Read past by OpenSSH; whoever wrote it meant something.
        Words::OpenQuote => Err("a quote has no fellow".to_owned()),
        Words::Keyword(keyword, "") => Err(format!("no argument after keyword `{keyword}`")),
        Words::Keyword(keyword, rest) => {
            let words = lex::arguments(rest).ok_or_else(|| "a quote has no fellow".to_owned())?;
            Ok(Some((keyword, rest, words)))
        }
    }
}

/// Reads a keyword that sets something.
fn set(
    keyword: String,
    rest: &str,
    words: Vec<String>,
    world: &dyn World,
) -> Result<Statement, String> {
    match keywords::find(&keyword) {
        None => Ok(Statement::Unknown(keyword)),
        Some(row) => value::value(row, rest, words, world)
            .map(|value| Statement::Set(row, value))
            .map_err(|fault| {
                if fault.contains(row.name) {
                    fault
                } else {
                    format!("{}: {fault}", row.name)
                }
            }),
    }
}

/// Reads a keyword and its value as they stand in the inventory.
pub(super) fn option(
    keyword: &str,
    value: &str,
    world: &dyn World,
) -> Result<Option<Statement>, String> {
    let line = format!("{keyword} {value}");
    let Some((keyword, rest, words)) = cut(&line)? else {
        return Ok(None);
    };
    if matches!(keyword.as_str(), "host" | "match" | "include") {
        return Err(format!("`{keyword}` belongs into OpenSSH's files"));
    }
    set(keyword, rest, words, world).map(Some)
}

/// Makes the error of an unknown keyword.
pub(super) fn unknown(keyword: &str) -> (String, Option<String>) {
    let hint = did_you_mean(keyword, KEYWORDS.iter().map(|row| row.name));
    (
        format!("unknown keyword `{keyword}`"),
        Some(hint.unwrap_or_else(|| {
            format!("a line `IgnoreUnknown {keyword}` before it reads past it")
        })),
    )
}

/// Where OpenSSH's own files are: the user's, and the system's.
pub(super) fn usual_files(bastion: &Bastion) -> [(PathBuf, bool); 2] {
    [
        (bastion.home.join(".ssh/config"), true),
        (PathBuf::from("/etc/ssh/ssh_config"), false),
    ]
}
