//! Values of keywords, checked as OpenSSH checks them, in blocks that apply and in those that do not.

use super::algorithms::Family;
use super::jump::{self, Jump};
use super::keywords::Row;
use super::kinds::Kind;
use super::{World, lex, tokens};

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing that counts: `ConnectTimeout none` leaves it to a later line.
    Nothing,
    /// One word, in its plainest spelling.
    One(String),
    /// Several words.
    Many(Vec<String>),
    /// Jumps.
    Jump(Jump),
    /// Bytes, and seconds if they are given.
    Rekey(u64, Option<u32>),
}

/// Reads what stands behind a keyword.
pub(super) fn value(
    row: &Row,
    rest: &str,
    words: Vec<String>,
    world: &dyn World,
) -> Result<Value, String> {
    match row.kind {
        Kind::Anything => return Ok(Value::Many(words)),
        Kind::Command => return Ok(Value::One(lex::command(rest).to_owned())),
        Kind::Jump => return jump::jump(lex::command(rest)).map(Value::Jump),
        Kind::Files => return files(words).map(Value::Many),
        Kind::Domains => return domains(words).map(Value::Many),
        Kind::SendEnv => return send_env(words).map(Value::Many),
        Kind::SetEnv => return set_env(words).map(Value::Many),
        Kind::Words => {
            some(words.first())?;
            return Ok(Value::Many(words));
        }
        _ => {}
    }
    let mut words = words.into_iter();
    let word = words.next();
    let word = some(word.as_ref())?;
    let value = match row.kind {
        Kind::Choice(choices) => Value::One(choice(word, choices)?),
        Kind::Time => match time(word)? {
            Some(seconds) => Value::One(seconds.to_string()),
            None => Value::Nothing,
        },
        Kind::Number => Value::One(number(word)?.to_string()),
        Kind::Port => Value::One(
            port(word)
                .ok_or_else(|| format!("bad port `{word}`: a number from 1 to 65535 is wanted"))?
                .to_string(),
        ),
        Kind::Algorithms => Value::One(algorithms(row.name, word)?),
        Kind::Rekey => rekey(word, &mut words)?,
        Kind::Agent => Value::One(agent(word, world)?),
        _ => Value::One(word.to_owned()),
    };
    match words.next() {
        Some(extra) => Err(format!("extra argument `{extra}` at the end of the line")),
        None => Ok(value),
    }
}

/// Refuses a missing or empty argument.
fn some(word: Option<&String>) -> Result<&str, String> {
    word.map(String::as_str)
        .filter(|word| !word.is_empty())
        .ok_or_else(|| "missing argument".to_owned())
}

fn choice(word: &str, choices: &[(&str, &str)]) -> Result<String, String> {
    choices
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|(_, meaning)| (*meaning).to_owned())
        .ok_or_else(|| {
            let mut known: Vec<&str> = choices.iter().map(|(_, meaning)| *meaning).collect();
            known.sort_unstable();
            known.dedup();
            format!("unsupported value `{word}`; known are {}", known.join(", "))
        })
}

/// Reads a whole number as strtonum(3) does.
fn whole(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn number(word: &str) -> Result<i32, String> {
    whole(word)
        .and_then(|number| i32::try_from(number).ok())
        .filter(|number| *number >= 0)
        .ok_or_else(|| format!("bad number `{word}`"))
}

/// Reads a port. Of services only `ssh` has a name here: the others' names are in a file.
pub(super) fn port(word: &str) -> Option<u16> {
    if word == "ssh" {
        return Some(22);
    }
    whole(word)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
}

/// Reads `1h30m` as seconds; `None` is `none`.
fn time(word: &str) -> Result<Option<u32>, String> {
    if word == "none" {
        return Ok(None);
    }
    let bad = || format!("invalid time `{word}`; write for example 90, 90s, 1h30m");
    let mut total: i32 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let signed = rest.trim_start();
        let digits = signed.strip_prefix('+').unwrap_or(signed);
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let (count, after) = digits.split_at(end);
        let count: i32 = count.parse().map_err(|_| bad())?;
        let unit = after.chars().next();
        let seconds = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return Err(bad()),
        };
        total = count
            .checked_mul(seconds)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(bad)?;
        rest = after
            .get(unit.map_or(0, char::len_utf8)..)
            .unwrap_or_default();
    }
    Ok(Some(total.unsigned_abs()))
}

fn rekey(word: &str, words: &mut std::vec::IntoIter<String>) -> Result<Value, String> {
    let bytes = if word == "default" { 0 } else { scaled(word)? };
    if bytes != 0 && bytes < 16 {
        return Err("RekeyLimit is too small".to_owned());
    }
    let bytes = u64::try_from(bytes).map_err(|_| format!("bad number `{word}`"))?;
    let seconds = match words.next() {
        Some(word) => time(some(Some(&word))?)?,
        None => None,
    };
    Ok(Value::Rekey(bytes, seconds))
}

/// Reads `1.5G` as scan_scaled(3) does.
fn scaled(word: &str) -> Result<i64, String> {
    let bad = || format!("bad number `{word}`; write for example 1G, 512M, default");
    let text = word.trim_start();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || whole.len() > 18 {
        return Err(bad());
    }
    let read = |digits: &str| -> Result<i128, String> {
        match digits {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| bad()),
        }
    };
    let mut units = unit.chars();
    let power = match units.next().map(|unit| unit.to_ascii_uppercase()) {
        None | Some('B') => 0,
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some('P') => 5,
        Some('E') => 6,
        Some(_) => return Err(bad()),
    };
    if units
        .next()
        .is_some_and(|after| after.is_ascii_alphanumeric())
    {
        return Err(bad());
    }
    let scale = 1024_i128.pow(power);
    let fraction = fraction.get(..fraction.len().min(15)).unwrap_or_default();
    let tenths = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let part = if unit.is_empty() {
        0
    } else {
        read(fraction)? * scale / tenths
    };
    let total = read(whole)? * scale + part;
    let total = i64::try_from(total).map_err(|_| bad())?;
    Ok(if negative { -total } else { total })
}

fn algorithms(keyword: &str, word: &str) -> Result<String, String> {
    let family = Family::of(keyword).ok_or_else(|| format!("no algorithms for {keyword}"))?;
    match family.stranger(word) {
        Some(name) => Err(format!("no such algorithm: `{name}` in `{word}`")),
        None => Ok(word.to_owned()),
    }
}

fn agent(word: &str, world: &dyn World) -> Result<String, String> {
    // OpenSSH wants the variables to be there even where the line does not apply.
    tokens::Tokens::default().fill(&word.replace('%', "%%"), Some(world))?;
    let legacy = word.strip_prefix('$').filter(|name| !name.starts_with('{'));
    let fine = legacy.is_none_or(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    fine.then(|| word.to_owned())
        .ok_or_else(|| format!("invalid name of an environment variable `{word}`"))
}

/// Checks a list in which `none` may only stand alone.
fn files(words: Vec<String>) -> Result<Vec<String>, String> {
    if words.iter().any(String::is_empty) {
        return Err("empty argument".to_owned());
    }
    let none = words.iter().any(|word| word.eq_ignore_ascii_case("none"));
    if none && words.len() > 1 {
        return Err("`none` must stand alone".to_owned());
    }
    Ok(words)
}

fn domains(words: Vec<String>) -> Result<Vec<String>, String> {
    let words = files(words)?;
    words
        .into_iter()
        .map(|word| {
            jump::domain(&word.to_ascii_lowercase())
                .ok_or_else(|| format!("`{word}` is no domain name"))
        })
        .collect()
}

fn send_env(words: Vec<String>) -> Result<Vec<String>, String> {
    let wrong = words
        .iter()
        .find(|word| word.is_empty() || word.contains('='));
    match wrong {
        Some(word) => Err(format!("`{word}` is no name of an environment variable")),
        None => Ok(words),
    }
}

fn set_env(words: Vec<String>) -> Result<Vec<String>, String> {
    match words.iter().find(|word| !word.contains('=')) {
        Some(word) => Err(format!("`{word}` is not NAME=VALUE")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, wanted) in [
            ("90", Some(90)),
            ("1h30m", Some(5400)),
            ("2D", Some(172_800)),
            ("1m5", Some(65)),
            ("none", None),
        ] {
            assert_eq!(time(text), Ok(wanted), "{text}");
        }
        for text in ["x", "-5", "1y", "5000w", "m", "1 m"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, wanted) in [("1G", 1 << 30), ("1.5K", 1536), ("16", 16), ("-5", -5)] {
            assert_eq!(scaled(text), Ok(wanted), "{text}");
        }
        for text in ["1X", "1.2.3K", "1KB", "99999999999999999999", "9E9"] {
            assert!(scaled(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_read() {
        assert_eq!(port("22"), Some(22));
        assert_eq!(port("ssh"), Some(22));
        for text in ["0", "65536", "-1", "", "x", "2 2", "22x"] {
            assert_eq!(port(text), None, "{text}");
        }
    }
}
