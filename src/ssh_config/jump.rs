//! `ProxyJump`: `[USER@]HOST[:PORT]` or `ssh://…`, several with commas.

use super::value::port;

/// One hop as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// What a `ProxyJump` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Jump {
    /// No jump, and no later line may add one.
    None,
    /// The last hop, and the text of those before it.
    Through { last: Hop, before: Option<String> },
}

/// Reads the value of `ProxyJump`.
pub(super) fn jump(text: &str) -> Result<Jump, String> {
    let text = text.split('#').next().unwrap_or_default();
    let text = text.trim_end_matches([' ', '\t', '\r', '\n']);
    if text.eq_ignore_ascii_case("none") {
        return Ok(Jump::None);
    }
    let (before, last) = match text.rsplit_once(',') {
        Some((before, last)) => (Some(before), last),
        None => (None, text),
    };
    let bad = || format!("invalid ProxyJump `{text}`");
    for earlier in before.into_iter().flat_map(|text| text.split(',')) {
        hop(earlier).ok_or_else(bad)?;
    }
    Ok(Jump::Through {
        last: hop(last).ok_or_else(bad)?,
        before: before.map(str::to_owned),
    })
}

/// Reads one hop.
fn hop(text: &str) -> Option<Hop> {
    match uri(text) {
        Some(found) => found,
        None => user_host_port(text),
    }
}

/// Reads `[USER@]HOST[:PORT]`.
fn user_host_port(text: &str) -> Option<Hop> {
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return None,
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, end) = host_and_rest(rest)?;
    let port = match end {
        None | Some((':', "")) => None,
        Some((':', text)) => Some(port(text)?),
        Some(_) => return None,
    };
    Some(Hop {
        user,
        host: host.to_owned(),
        port,
    })
}

/// Cuts a host, in brackets or not, from what follows it, and what stood between.
fn host_and_rest(text: &str) -> Option<(&str, Option<(char, &str)>)> {
    let at = match text.strip_prefix('[') {
        Some(inside) => inside.find(']')? + 2,
        None => text.find([':', '/']).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(at)?;
    let end = match rest.chars().next() {
        None => None,
        Some(sign @ (':' | '/')) => Some((sign, rest.get(1..)?)),
        Some(_) => return None,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(host);
    let fine = !host.is_empty() && !host.contains(char::is_whitespace);
    fine.then_some((bare, end))
}

/// Reads `ssh://[USER@]HOST[:PORT]`. The outer `None` is no such thing, the inner a wrong one.
pub(super) fn uri(text: &str) -> Option<Option<Hop>> {
    let rest = text.strip_prefix("ssh://")?;
    Some(inside_uri(rest))
}

fn inside_uri(text: &str) -> Option<Hop> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) => {
            // What follows `;` are parameters that nobody uses.
            let user = user.split(';').next().filter(|user| !user.is_empty())?;
            (Some(decode(user)?), rest)
        }
        None => (None, text),
    };
    let (host, end) = host_and_rest(rest)?;
    let host = domain(host)?;
    let (number, path) = match end {
        None => (None, ""),
        Some((':', rest)) if !rest.is_empty() => {
            let (number, path) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(port(number)?), path)
        }
        Some((_, rest)) => (None, rest),
    };
    path.is_empty().then_some(Hop {
        user,
        host,
        port: number,
    })
}

/// Reads `%41` and `+`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Checks a domain's characters; one dot at the end goes.
pub(super) fn domain(text: &str) -> Option<String> {
    let first = text.chars().next()?;
    let fine = first.is_ascii_alphanumeric()
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    fine.then(|| text.strip_suffix('.').unwrap_or(text).to_owned())
}

/// Whether a host's name can do no harm on a command line (the rule of later OpenSSH).
pub(super) fn harmless_host(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){},".contains(c))
}

/// Whether a login can do no harm on a command line (the rule of later OpenSSH).
pub(super) fn harmless_user(name: &str) -> bool {
    !name.starts_with('-')
        && !name.contains(" -")
        && !name.ends_with('\\')
        && !name
            .chars()
            .any(|c| c.is_control() || "'`\";&<>|(){}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// User, host, port, and the jumps before.
    type Read = (Option<String>, String, Option<u16>, Option<String>);

    fn read(text: &str) -> Option<Read> {
        match jump(text) {
            Ok(Jump::Through { last, before }) => Some((last.user, last.host, last.port, before)),
            _ => None,
        }
    }

    #[test]
    fn hops_are_read_as_openssh_reads_them() {
        let wanted = |user: Option<&str>, host: &str, port, before: Option<&str>| {
            Some((
                user.map(str::to_owned),
                host.to_owned(),
                port,
                before.map(str::to_owned),
            ))
        };
        assert_eq!(read("a"), wanted(None, "a", None, None));
        assert_eq!(read("u@a:22"), wanted(Some("u"), "a", Some(22), None));
        assert_eq!(
            read("a,b,u@c # x"),
            wanted(Some("u"), "c", None, Some("a,b"))
        );
        assert_eq!(read("[::1]:2200"), wanted(None, "::1", Some(2200), None));
        assert_eq!(
            read("ssh://u%41@a:7/"),
            wanted(Some("uA"), "a", Some(7), None)
        );
        assert_eq!(read("a@b@c"), wanted(Some("a@b"), "c", None, None));
        for wrong in [
            "",
            "a,",
            ",a",
            "@a",
            "a:0",
            "a:x",
            "::1",
            "[::1",
            "a/b",
            "ssh://a/b",
            "ssh://[::1]",
            "ssh://",
            "a:22:22",
        ] {
            assert!(jump(wrong).is_err(), "{wrong}");
        }
        assert_eq!(jump("NONE"), Ok(Jump::None));
    }
}
