//! The names that a server is looked up by.

use std::net::IpAddr;

/// SSH's port, which names do not mention.
const SSH_PORT: u16 = 22;

/// The names that a server is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    /// The host's name or its alias, which a certificate must be for.
    host: String,
    port: u16,
    /// As it stands in a file.
    entry: String,
    aliased: bool,
    address: Option<String>,
}

impl ServerName {
    /// Names a server by its host and port.
    pub fn new(host: &str, port: u16) -> Self {
        // OpenSSH compares names in lower case, and knows no other letters than ASCII's.
        let host = host.to_ascii_lowercase();
        Self {
            entry: with_port(&host, port),
            host,
            port,
            aliased: false,
            address: None,
        }
    }

    /// The same server by another name, which has no port (HostKeyAlias).
    #[must_use]
    pub fn with_alias(mut self, alias: Option<&str>) -> Self {
        if let Some(alias) = alias {
            self.host = alias.to_ascii_lowercase();
            self.entry.clone_from(&self.host);
            self.aliased = true;
        }
        self
    }

    /// The same server where the key must be its address's, too (CheckHostIP). The own machine's
    /// addresses say nothing, and neither does the address of a host that has no other name.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        let text = address.to_string();
        self.address =
            (!address.is_loopback() && text != self.host).then(|| with_port(&text, self.port));
        self
    }

    /// Returns the name as ssh writes it, with the port where it is not 22.
    pub fn as_str(&self) -> &str {
        &self.entry
    }

    /// Returns the names that a new key of the server is written down for.
    pub fn entries(&self) -> Vec<String> {
        let mut names = vec![self.entry.clone()];
        names.extend(self.address.clone());
        names
    }

    /// The name that a certificate must be for.
    pub(super) fn principal(&self) -> &str {
        &self.host
    }

    /// The name without its port, which counts where nothing is known for the name with it.
    pub(super) fn without_port(&self) -> Option<&str> {
        (!self.aliased && self.entry != self.host).then_some(self.host.as_str())
    }

    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

fn with_port(host: &str, port: u16) -> String {
    if port == SSH_PORT {
        host.to_owned()
    } else {
        format!("[{host}]:{port}")
    }
}
