//! Names made full, and addresses in their plain form.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::World;
use super::error::SshConfigError;
use super::options::{Options, Way};

/// Makes the final name or address of a host: addresses plain, names in lower case and, if that is wished, full.
pub(super) fn canonical(
    host: &str,
    options: &Options,
    world: &dyn World,
) -> Result<String, SshConfigError> {
    let mode = options.word("CanonicalizeHostname").unwrap_or("no");
    let family = options.word("AddressFamily").unwrap_or("any");
    if let Some(plain) = address(host, family) {
        // Capitals in an address stay as they are.
        return Ok(if plain.eq_ignore_ascii_case(host) {
            host.to_owned()
        } else {
            plain
        });
    }
    if looks_like_address(host) {
        return Ok(host.to_owned());
    }
    let name = host.to_ascii_lowercase();
    // Even `ProxyJump none` counts as a jump here, as it does for OpenSSH.
    let direct = !options.no_jump
        && match options.way.as_ref().map(|way| &way.value) {
            None => true,
            Some(Way::Command(command)) => command.eq_ignore_ascii_case("none"),
            Some(Way::Jump(_)) => false,
        };
    if mode == "no" || (!direct && mode != "always") {
        return Ok(name);
    }
    match full(&name, options, world) {
        Search::Found(full) => Ok(full),
        Search::NotTried => Ok(name),
        Search::NotFound if options.is_on("CanonicalizeFallbackLocal", true) => Ok(name),
        Search::NotFound => Err(SshConfigError::from(
            &options.origin("CanonicalizeFallbackLocal"),
            format!("the resolver knows `{name}` in none of CanonicalDomains"),
        )
        .hint("CanonicalizeFallbackLocal yes uses the name as it is")),
    }
}

enum Search {
    Found(String),
    NotFound,
    /// The name has too many dots to be made full.
    NotTried,
}

fn full(name: &str, options: &Options, world: &dyn World) -> Search {
    if let Some(bare) = name.strip_suffix('.') {
        return if world.resolve(name) {
            Search::Found(bare.to_owned())
        } else {
            Search::NotFound
        };
    }
    let dots = name.chars().filter(|c| *c == '.').count();
    let most = options.number("CanonicalizeMaxDots").unwrap_or(1);
    if u32::try_from(dots).map_or(true, |dots| dots > most) {
        return Search::NotTried;
    }
    options
        .words("CanonicalDomains")
        .unwrap_or_default()
        .iter()
        .take_while(|domain| !domain.eq_ignore_ascii_case("none"))
        .map(|domain| format!("{name}.{domain}"))
        .find(|full| world.resolve(&format!("{full}.")))
        .map_or(Search::NotFound, Search::Found)
}

/// Whether a text can only be an address.
fn looks_like_address(text: &str) -> bool {
    text.contains(['%', ':']) || text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Returns an address in its plain form.
fn address(text: &str, family: &str) -> Option<String> {
    if text.contains(':') {
        let (bare, scope) = match text.split_once('%') {
            Some((bare, scope)) => (bare, Some(scope)),
            None => (text, None),
        };
        let plain = bare.parse::<Ipv6Addr>().ok()?.to_string();
        let plain = scope.map_or(plain.clone(), |scope| format!("{plain}%{scope}"));
        return (family != "inet").then_some(plain);
    }
    let plain = ipv4(text)?.to_string();
    (family != "inet6").then_some(plain)
}

/// Reads an address as inet_aton(3) does: one to four numbers, octal and hexadecimal as well.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts: Vec<u32> = Vec::new();
    for part in text.split('.') {
        let number = if let Some(hex) = part.strip_prefix("0x").or(part.strip_prefix("0X")) {
            digits(hex, 16)
        } else if part.len() > 1 && part.starts_with('0') {
            digits(part, 8)
        } else {
            digits(part, 10)
        };
        parts.push(number?);
    }
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if bits < 32 && *last >> bits != 0 {
        return None;
    }
    let high = first.iter().fold(0_u32, |sum, part| (sum << 8) | part);
    let high = if bits == 32 { 0 } else { high << bits };
    Some(Ipv4Addr::from(high | last))
}

fn digits(text: &str, radix: u32) -> Option<u32> {
    let plain = text.chars().all(|c| c.is_digit(radix));
    plain
        .then(|| u32::from_str_radix(text, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_plain() {
        for (text, wanted) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("127.1", Some("127.0.0.1")),
            ("0x7f.1", Some("127.0.0.1")),
            ("2130706433", Some("127.0.0.1")),
            ("010.0.0.1", Some("8.0.0.1")),
            ("::0001", Some("::1")),
            ("fe80::0:1%eth0", Some("fe80::1%eth0")),
            ("1.2.3.4.5", None),
            ("256.1.1.1", None),
            ("1.2.3.", None),
            ("web1", None),
            ("4294967296", None),
        ] {
            assert_eq!(address(text, "any").as_deref(), wanted, "{text}");
        }
        assert_eq!(address("10.0.0.1", "inet6"), None);
    }
}
