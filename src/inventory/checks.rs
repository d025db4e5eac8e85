//! The operator's own checks: `checks` of the inventory, and the files of `checks.d` beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_yaml::Spanned;

use super::error::InventoryError;
use super::file::{Pairs, RawCheck, RawCode, RawRead, Span};
use super::resolve::{Beside, Inventory, Resolver, read};
use crate::model::{
    CheckRead, CheckSpec, CodeMeaning, Comparison, Condition, Pattern, Severity, number,
};

/// More checks than are read of one host's probe.
const MAX_CHECKS: usize = 64;

/// A script longer than this belongs on the host. It is sent to every host at every check.
const MAX_SCRIPT: usize = 64 << 10;

/// All scripts of one host together.
const MAX_SCRIPTS: usize = 256 << 10;

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// Reads the checks and gives each to its hosts.
pub(super) fn attach(
    inventory: &mut Inventory,
    raw: &Pairs<Option<RawCheck>>,
    file: &str,
    beside: &Beside<'_>,
) -> Result<(), InventoryError> {
    let mut specs: BTreeMap<String, (CheckSpec, Vec<usize>)> = BTreeMap::new();
    let mut add = |spec: CheckSpec, hosts: Vec<usize>, error: &dyn Fn(String) -> InventoryError| {
        if let Some((other, _)) = specs.get(&spec.name) {
            let message = format!("check `{}` is in {} already", spec.name, other.origin);
            return Err(error(message).hint("give one of the two another name"));
        }
        specs.insert(spec.name.clone(), (spec, hosts));
        if specs.len() > MAX_CHECKS {
            let message = format!("more than {MAX_CHECKS} checks");
            return Err(error(message).hint("join some: a script may look at several things"));
        }
        Ok(())
    };
    for (name, check) in &raw.0 {
        let reader = Reader::new(file, &name.value, Some(name), beside);
        let (spec, hosts) = reader.check(check.as_ref(), inventory)?;
        add(spec, hosts, &|message| reader.at_name(message))?;
    }
    for (path, text) in beside.checks {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
        let reader = Reader::new(path, name, None, beside);
        if text.trim().is_empty() {
            return Err(reader.at_name("the file is empty".into()).hint(EXAMPLE));
        }
        let check: RawCheck = read(text, path)?;
        let (spec, hosts) = reader.check(Some(&check), inventory)?;
        add(spec, hosts, &|message| reader.at_name(message))?;
    }
    for (spec, hosts) in specs.into_values() {
        let spec = Arc::new(spec);
        for index in &hosts {
            if let Some(host) = inventory.hosts.get_mut(*index) {
                host.checks.push(Arc::clone(&spec));
            }
        }
        inventory.checks.push((spec, hosts));
    }
    let too_much = inventory.hosts.iter().find(|host| {
        let bytes: usize = host.checks.iter().map(|check| check.script.len()).sum();
        bytes > MAX_SCRIPTS
    });
    match too_much {
        Some(host) => Err(InventoryError::new(
            file,
            format!(
                "the scripts of `checks` for host `{}` are more than {} KiB",
                host.name,
                MAX_SCRIPTS >> 10
            ),
        )
        .hint("put long scripts on the hosts, and call them")),
        None => Ok(()),
    }
}

const EXAMPLE: &str =
    "e.g. `script: \"wc -l < /var/spool/queue\"`, `read: number`, `warning: \"> 100\"`";

/// Reads one check.
struct Reader<'a> {
    resolver: Resolver<'a>,
    name: &'a str,
    /// Where the name stands; a file's own name stands nowhere.
    place: Option<&'a Spanned<String>>,
    beside: &'a Beside<'a>,
}

impl<'a> Reader<'a> {
    fn new(
        file: &'a str,
        name: &'a str,
        place: Option<&'a Spanned<String>>,
        beside: &'a Beside<'a>,
    ) -> Self {
        Self {
            resolver: Resolver { file, home: "" },
            name,
            place,
            beside,
        }
    }

    fn at_name(&self, message: String) -> InventoryError {
        match self.place {
            Some(place) => self.resolver.error(place, message),
            None => InventoryError::new(self.resolver.file, message),
        }
    }

    fn at<T>(&self, place: &Spanned<T>, message: &str) -> InventoryError {
        let message = format!("check `{}`: {message}", self.name);
        self.resolver.error(place, message)
    }

    fn check(
        &self,
        raw: Option<&RawCheck>,
        inventory: &Inventory,
    ) -> Result<(CheckSpec, Vec<usize>), InventoryError> {
        self.check_name()?;
        let empty = RawCheck::default();
        let raw = raw.unwrap_or(&empty);
        let read = self.read(raw)?;
        let condition = |of: &Option<Spanned<String>>| {
            let of = of.as_ref();
            of.map(|text| self.condition(text, &read)).transpose()
        };
        let (warning, critical) = (condition(&raw.warning)?, condition(&raw.critical)?);
        if warning.is_none() && critical.is_none() && !matches!(read, CheckRead::Exit(_)) {
            let message = format!("check `{}` has neither `warning` nor `critical`", self.name);
            return Err(self.at_name(message).hint(match read {
                CheckRead::Regex(_) => "without them it finds nothing; e.g. `critical: match`",
                _ => "without them it finds nothing; e.g. `warning: \"> 100\"`",
            }));
        }
        let (selector, hosts) = self.hosts(raw, inventory)?;
        let line = self.place.map(|place| place.referenced.line());
        let spec = CheckSpec {
            name: self.name.to_owned(),
            script: self.script(raw)?,
            read,
            warning,
            critical,
            hosts: selector,
            explain: raw.explain.clone().filter(|text| !text.trim().is_empty()),
            timeout: self.timeout(raw.timeout.as_ref())?,
            origin: match line {
                Some(line) => format!("{}:{line}", self.resolver.file),
                None => self.resolver.file.to_owned(),
            },
        };
        Ok((spec, hosts))
    }

    fn check_name(&self) -> Result<(), InventoryError> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = self.name;
        if name.is_empty() || name.len() > 48 || name.starts_with('-') || !name.chars().all(fine) {
            return Err(self
                .at_name(format!("`{name}` is no name of a check"))
                .hint("small letters, digits and hyphens make one, e.g. `queue-depth`"));
        }
        Ok(())
    }

    fn script(&self, raw: &RawCheck) -> Result<String, InventoryError> {
        let (text, place) = match (&raw.script, &raw.file) {
            (Some(script), None) => (script.value.clone(), script),
            (None, Some(file)) => {
                let text = (self.beside.script)(&file.value)
                    .map_err(|why| self.at(file, &format!("`file: {}`: {why}", file.value)))?;
                (text, file)
            }
            (Some(_), Some(file)) => {
                return Err(self
                    .at(file, "has both `script` and `file`")
                    .hint("one of them says what runs"));
            }
            (None, None) => {
                let message = format!("check `{}` has neither `script` nor `file`", self.name);
                return Err(self.at_name(message).hint(EXAMPLE));
            }
        };
        // An editor of another system may end lines with CR LF, which no sh understands.
        let text = text.replace("\r\n", "\n");
        let mut lines = text.lines().map(str::trim);
        let first = lines.clone().next().unwrap_or_default();
        if let Some(program) = first.strip_prefix("#!")
            && !program.split(['/', ' ']).any(|word| word == "sh")
        {
            return Err(self
                .at(place, &format!("the script asks for `{}`", program.trim()))
                .hint("a check runs in the host's sh; call the other program from there"));
        }
        if lines.all(|line| line.is_empty() || line.starts_with('#')) {
            return Err(self.at(place, "the script runs nothing").hint(EXAMPLE));
        }
        if text.contains('\0') {
            return Err(self
                .at(place, "the script holds a NUL character")
                .hint("is this the right file?"));
        }
        if text.len() > MAX_SCRIPT {
            let message = format!("the script is longer than {} KiB", MAX_SCRIPT >> 10);
            return Err(self
                .at(place, &message)
                .hint("put it on the hosts, and call it"));
        }
        Ok(text)
    }

    fn read(&self, raw: &RawCheck) -> Result<CheckRead, InventoryError> {
        let place = raw.read.as_ref();
        let read = match place.map(|read| (&read.value, read)) {
            None | Some((RawRead::Exit, _)) => {
                let threshold = raw.warning.as_ref().or(raw.critical.as_ref());
                if let Some(threshold) = threshold {
                    return Err(self
                        .at(threshold, "an exit code has no threshold")
                        .hint("say how the output is `read`, or what `codes` mean"));
                }
                return self.codes(raw.codes.as_ref());
            }
            Some((RawRead::Number, _)) => CheckRead::Number,
            Some((RawRead::Regex(text), at)) => {
                CheckRead::Regex(Pattern::new(text).map_err(|why| {
                    self.at(at, &format!("`{text}` is no regular expression: {why}"))
                        .hint("in YAML, single quotes leave a backslash as it is")
                })?)
            }
            Some((RawRead::Json(path), at)) => {
                let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
                if parts.iter().any(String::is_empty) {
                    return Err(self
                        .at(at, &format!("`{path}` is no path of a JSON value"))
                        .hint(
                            "keys and places in lists, divided by full stops: `queues.0.depth`",
                        ));
                }
                CheckRead::Json(parts)
            }
        };
        if let Some((code, _)) = raw.codes.iter().flat_map(|codes| &codes.0).next() {
            return Err(self
                .at(code, "`codes` are of use with `read: exit` only")
                .hint("where output is read, every code but 0 is the script's own failure"));
        }
        Ok(read)
    }

    /// The usual codes of monitoring plugins, unless others are given.
    fn codes(&self, raw: Option<&Pairs<RawCode>>) -> Result<CheckRead, InventoryError> {
        let mut codes = BTreeMap::from([
            (0, CodeMeaning::Fine),
            (1, CodeMeaning::Finding(Severity::Warning)),
            (2, CodeMeaning::Finding(Severity::Critical)),
        ]);
        for (code, word) in raw.into_iter().flat_map(|codes| &codes.0) {
            let number = code.value.trim().parse::<u8>().map_err(|_| {
                self.at(code, &format!("`{}` is no exit code", code.value))
                    .hint("exit codes are numbers from 0 to 255")
            })?;
            let meaning = match word {
                RawCode::Fine => CodeMeaning::Fine,
                RawCode::Warning => CodeMeaning::Finding(Severity::Warning),
                RawCode::Critical => CodeMeaning::Finding(Severity::Critical),
                RawCode::Failed => CodeMeaning::Failed,
            };
            codes.insert(number, meaning);
        }
        Ok(CheckRead::Exit(codes))
    }

    fn condition(
        &self,
        text: &Spanned<String>,
        read: &CheckRead,
    ) -> Result<Condition, InventoryError> {
        let said = text.value.trim();
        let is_regex = matches!(read, CheckRead::Regex(_));
        match said {
            "match" if is_regex => return Ok(Condition::Match),
            "no match" if is_regex => return Ok(Condition::NoMatch),
            "match" | "no match" => {
                return Err(self
                    .at(text, &format!("`{said}` is for regular expressions"))
                    .hint("e.g. `read: {regex: \"ERROR .*\"}`"));
            }
            _ => {}
        }
        let hint = if is_regex {
            "`match`, `no match`, or a comparison of what was found, e.g. `\"> 100\"`"
        } else {
            "a comparison, e.g. `\"> 100\"`, `\"<= 5\"`, `\"!= ok\"`"
        };
        let wrong = |what: String| Err(self.at(text, &what).hint(hint));
        let Some((comparison, limit)) = Comparison::split(said) else {
            return wrong(format!("`{said}` is no threshold"));
        };
        let needs_number = comparison.needs_order() || *read == CheckRead::Number;
        if limit.is_empty() || (needs_number && number(limit).is_none()) {
            return wrong(format!("`{said}` compares with no number"));
        }
        Ok(Condition::Compare(comparison, limit.to_owned()))
    }

    fn timeout(&self, raw: Option<&Spanned<Span>>) -> Result<Duration, InventoryError> {
        match raw {
            Some(span) if span.value.0 > MAX_TIMEOUT => Err(self
                .at(span, "a check may take 10 minutes at most")
                .hint("let a timer on the host do the long work, and check its result")),
            Some(span) => Ok(span.value.0),
            None => Ok(TIMEOUT),
        }
    }

    fn hosts(
        &self,
        raw: &RawCheck,
        inventory: &Inventory,
    ) -> Result<(String, Vec<usize>), InventoryError> {
        let Some(place) = &raw.hosts else {
            return Ok(("all".to_owned(), (0..inventory.hosts.len()).collect()));
        };
        let selectors = &place.value.0;
        let last_run = || Err("the hosts of a check cannot depend on the last run".to_owned());
        let hosts = inventory.select(selectors, last_run).map_err(|error| {
            let said = self.at(place, &error.message);
            let hint = "a selector as for `clawfleet check`, e.g. `\"@gateways\"`";
            said.hint(error.hint.unwrap_or_else(|| hint.to_owned()))
        })?;
        Ok((selectors.join(","), hosts))
    }
}
