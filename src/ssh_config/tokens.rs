//! What `%h`, `${NAME}` and `~` stand for.

use std::path::Path;

use sha1::{Digest as _, Sha1};

use super::{Bastion, World};

/// Letters behind `%` that `Match exec` knows.
pub(super) const OF_EXEC: &str = "CLdhiklnpru";

/// Letters behind `%` and what they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens(Vec<(char, String)>);

/// What tokens are made from.
pub(super) struct Known<'a> {
    pub(super) bastion: &'a Bastion,
    /// Name or address that is connected to.
    pub(super) host: &'a str,
    /// The name that was asked for.
    pub(super) original: &'a str,
    pub(super) alias: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) jump: &'a str,
}

impl Tokens {
    /// Makes the tokens that most keywords know.
    pub(super) fn of(known: &Known<'_>) -> Self {
        let here = &known.bastion.host_name;
        let short = here.split('.').next().unwrap_or_default();
        let port = known.port.to_string();
        let mut hash = Sha1::new();
        for part in [here, known.host, &port, known.user] {
            hash.update(part);
        }
        let hash: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(vec![
            ('C', hash),
            ('L', short.to_owned()),
            ('d', known.bastion.home.display().to_string()),
            ('h', known.host.to_owned()),
            ('i', known.bastion.uid.to_string()),
            ('j', known.jump.to_owned()),
            ('k', known.alias.to_owned()),
            ('l', here.clone()),
            ('n', known.original.to_owned()),
            ('p', port),
            ('r', known.user.to_owned()),
            ('u', known.bastion.user.clone()),
        ])
    }

    /// Makes the only token that HostName knows.
    pub(super) fn of_host_name(host: &str) -> Self {
        Self(vec![('h', host.to_owned())])
    }

    /// Keeps only some letters.
    pub(super) fn only(&self, letters: &str) -> Self {
        let kept = self.0.iter().filter(|(key, _)| letters.contains(*key));
        Self(kept.cloned().collect())
    }

    /// Fills in tokens, and environment variables if there is a world to ask.
    pub(super) fn fill(&self, text: &str, world: Option<&dyn World>) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            if let Some((world, named)) = world.zip(rest.strip_prefix("${")) {
                let (value, after) = variable(named, world)?;
                filled.push_str(&value);
                rest = after;
                continue;
            }
            rest = after;
            if c != '%' {
                filled.push(c);
                continue;
            }
            let Some(key) = after.chars().next() else {
                return Err("a `%` stands at the end; write `%%` for a percent sign".to_owned());
            };
            rest = after.get(key.len_utf8()..).unwrap_or_default();
            match self.0.iter().find(|(known, _)| *known == key) {
                _ if key == '%' => filled.push('%'),
                Some((_, value)) => filled.push_str(value),
                None => return Err(unknown(key, self.0.iter().map(|(known, _)| *known))),
            }
        }
        Ok(filled)
    }
}

fn unknown(key: char, known: impl Iterator<Item = char>) -> String {
    let mut known: Vec<String> = known.map(|letter| format!("%{letter}")).collect();
    known.push("%%".to_owned());
    format!("`%{key}` means nothing here; known are {}", known.join(" "))
}

/// Reads a variable's name up to `}`; returns its value and what follows.
fn variable<'a>(named: &'a str, world: &dyn World) -> Result<(String, &'a str), String> {
    let Some((name, after)) = named.split_once('}') else {
        return Err(format!("`${{{named}` has no closing `}}`"));
    };
    if name.is_empty() {
        return Err("`${}` names no variable".to_owned());
    }
    let value = world
        .env(name)
        .ok_or_else(|| format!("the environment variable {name} is not set"))?;
    Ok((value, after))
}

/// Says whether all tokens of a text are among some letters.
pub(super) fn check(text: &str, letters: &str) -> Result<(), String> {
    Tokens(letters.chars().map(|key| (key, String::new())).collect())
        .fill(text, None)
        .map(drop)
}

/// Puts a home directory in the place of `~` or `~USER`.
pub(super) fn tilde(text: &str, home: &Path, world: &dyn World) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_start_matches('/');
    let home = if user.is_empty() {
        home.to_owned()
    } else {
        world
            .home_of(user)
            .ok_or_else(|| format!("there is no user `{user}` here"))?
    };
    let home = home.display().to_string();
    let slash = if home.ends_with('/') { "" } else { "/" };
    Ok(format!("{home}{slash}{path}"))
}
