//! Addresses on the web that alerts are sent to. Most hold a secret, so little of them is shown.

use std::fmt;
use std::net::IpAddr;

/// An address on the web. Its path and query may be a secret, and are in no `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebAddress {
    /// Whether TLS is spoken.
    pub https: bool,
    /// The name or the address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
}

/// Hosts that belong to one kind of channel, by what their names end in.
const SERVICES: [(&str, &str); 9] = [
    ("hooks.slack.com", "slack"),
    ("hooks.slack-gov.com", "slack"),
    ("open.feishu.cn", "feishu"),
    ("open.larksuite.com", "feishu"),
    ("oapi.dingtalk.com", "dingtalk"),
    ("oapi.dingtalk.io", "dingtalk"),
    ("api.dingtalk.com", "dingtalk"),
    ("qyapi.weixin.qq.com", "wecom"),
    ("api.telegram.org", "telegram"),
];

impl WebAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, in words that quote none of it: it may be a secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(
                "has blanks, or characters that are no ASCII: a name in another script is written xn--…",
            );
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("is no address: it does not begin with https://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("begins with neither https:// nor http://"),
        };
        if rest.contains('#') {
            return Err("has a fragment (`#…`), which no server is sent");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("has a user or a password in front of the host");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("has a `[` that is not closed")?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err("has something in brackets that is no IPv6 address");
                }
                (
                    host,
                    rest.strip_prefix(':').or((!rest.is_empty()).then_some("x")),
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if host.is_empty() || !host.chars().all(fine) || host.starts_with(['-', '.']) {
            return Err("names no host");
        }
        let port = match port {
            None if https => 443,
            None => 80,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or("has a port that is no number from 1 to 65535")?,
        };
        let path = match path.as_bytes().first() {
            Some(b'/') => path.to_owned(),
            _ => format!("/{path}"),
        };
        Ok(Self {
            https,
            host: host.to_ascii_lowercase(),
            port,
            path,
        })
    }

    /// Whether it is this machine itself.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Returns the kind of channel that its host belongs to, where that is known.
    pub fn service(&self) -> Option<&'static str> {
        SERVICES
            .iter()
            .find(|(host, _)| *host == self.host)
            .map(|(_, service)| *service)
    }
}

/// Whether a name or an address is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        match (self.host.contains(':'), self.https, self.port) {
            (false, true, 443) | (false, false, 80) => write!(f, "{scheme}://{}/…", self.host),
            (false, _, port) => write!(f, "{scheme}://{}:{port}/…", self.host),
            (true, _, port) => write!(f, "{scheme}://[{}]:{port}/…", self.host),
        }
    }
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebAddress({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("https://a.example/x?y=1", ("a.example", 443, "/x?y=1")),
            ("HTTPS://A.example", ("a.example", 443, "/")),
            ("https://a.example?k=v", ("a.example", 443, "/?k=v")),
            ("http://127.0.0.1:8080/", ("127.0.0.1", 8080, "/")),
            ("http://[::1]:81/h", ("::1", 81, "/h")),
            ("https://[::1]", ("::1", 443, "/")),
        ];
        for (text, (host, port, path)) in cases {
            let read = WebAddress::parse(text).unwrap();
            assert_eq!((&*read.host, read.port, &*read.path), (host, port, path));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let cases = [
            "",
            "a.example/x",
            "ftp://a.example/",
            "https://",
            "https:///x",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://a.example:/",
            "https://u:p@a.example/",
            "https://a.example/#x",
            "https://a b/",
            "https://bücher.example/",
            "https://[::1",
            "https://[::1]x",
            "https://[nope]/",
            "https://-a/",
        ];
        for text in cases {
            assert!(WebAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_does_not_show_its_secret() {
        let read = WebAddress::parse("https://hooks.slack.com/services/T0/B0/s3cret").unwrap();
        assert_eq!(format!("{read} {read:?}").matches("s3cret").count(), 0);
        assert_eq!(read.to_string(), "https://hooks.slack.com/…");
        assert_eq!(read.service(), Some("slack"));
        assert!(WebAddress::parse("http://[::1]/").unwrap().is_loopback());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}|https?://[a-z\\[\\]:@?#/0-9.]{0,40}") {
            let _ = WebAddress::parse(&text);
        }
    }
}
