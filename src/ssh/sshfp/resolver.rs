//! Asks the resolvers of resolv.conf.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{self, Answer, LARGEST_UDP};
use crate::model::Claim;

/// DNS's port.
const PORT: u16 = 53;
/// How many servers are asked; resolv.conf(5) takes no more.
const MAX_SERVERS: usize = 3;
/// How long a server may take, and how often each is asked, as resolv.conf(5) has it.
const LIMIT: Duration = Duration::from_secs(5);
const TRIES: usize = 2;
/// The codes of an answer, and of a name that does not exist.
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;
const SERVER_FAILURE: u16 = 2;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    /// Whether a server's word on signatures counts at all.
    trust_ad: bool,
    limit: Duration,
}

/// What DNS says of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshfpAnswer {
    /// The fingerprints, by SHA-256 and by SHA-1.
    pub claims: Vec<Claim>,
    /// Whether signatures vouch for them.
    pub signed: bool,
}

impl Resolver {
    /// Reads a resolv.conf. A server may have a port: `[::1]:5353`. Without a server it is this
    /// machine, as in resolv.conf(5).
    pub fn from_resolv_conf(text: &str) -> Self {
        let mut resolver = Self {
            servers: Vec::new(),
            trust_ad: false,
            limit: LIMIT,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().and_then(address)),
                Some("options") => words.for_each(|word| resolver.option(word)),
                _ => {}
            }
        }
        resolver.servers.truncate(MAX_SERVERS);
        if resolver.servers.is_empty() {
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            resolver.servers.push(SocketAddr::new(here, PORT));
        }
        resolver
    }

    fn option(&mut self, word: &str) {
        if word == "trust-ad" {
            self.trust_ad = true;
        } else if let Some(seconds) = word.strip_prefix("timeout:").and_then(|n| n.parse().ok()) {
            self.limit = Duration::from_secs(u64::clamp(seconds, 1, 30));
        }
    }

    /// Asks for the fingerprints of a name. An address has none.
    ///
    /// # Errors
    /// Why nobody answered, for people.
    pub async fn sshfp(&self, name: &str) -> Result<SshfpAnswer, String> {
        if name.parse::<IpAddr>().is_ok() {
            return Ok(SshfpAnswer::default());
        }
        let mut why = String::new();
        for server in self.servers.iter().cycle().take(self.servers.len() * TRIES) {
            match self.ask(*server, name).await {
                Ok(answer) => return Ok(answer),
                Err(error) => why = format!("{server}: {error}"),
            }
        }
        Err(why)
    }

    async fn ask(&self, server: SocketAddr, name: &str) -> Result<SshfpAnswer, String> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|error| error.to_string())?;
        let Some(question) = message::question(u16::from_be_bytes(id), name) else {
            return Ok(SshfpAnswer::default());
        };
        let late = |_| "no answer".to_owned();
        let failed = |error: io::Error| error.to_string();
        let over_udp = timeout(self.limit, udp(server, &question)).await;
        let mut answer = over_udp.map_err(late)?.map_err(failed)?;
        if answer.truncated {
            let over_tcp = timeout(self.limit, tcp(server, &question)).await;
            answer = over_tcp.map_err(late)?.map_err(failed)?;
        }
        match answer.code {
            NO_ERROR | NO_SUCH_NAME => Ok(SshfpAnswer {
                signed: answer.authentic && self.trust_ad && server.ip().is_loopback(),
                claims: answer.claims,
            }),
            SERVER_FAILURE => Err("it failed (SERVFAIL), as it does for a bad signature".into()),
            code => Err(format!("it refused (code {code})")),
        }
    }
}

fn address(word: &str) -> Option<SocketAddr> {
    let with_port = || word.parse::<SocketAddr>().ok();
    // A scope (`fe80::1%eth0`) would need the number of its interface.
    let alone = word.parse::<IpAddr>().ok();
    alone.map(|ip| SocketAddr::new(ip, PORT)).or_else(with_port)
}

async fn udp(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut bytes = vec![0; usize::from(LARGEST_UDP)];
    loop {
        let length = socket.recv(&mut bytes).await?;
        let received = bytes.get(..length).unwrap_or_default();
        // Anything else may be somebody's guess; the answer may still come.
        if let Some(answer) = message::answer(question, received) {
            return Ok(answer);
        }
    }
}

async fn tcp(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    message::answer(question, &bytes)
        .ok_or_else(|| io::Error::other("what it sent is no answer to the question"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read() {
        let text = "# mine\nnameserver 127.0.0.53\nnameserver [::1]:5353\nnameserver x\n\
                    search a b\noptions edns0 trust-ad timeout:2\n";
        let resolver = Resolver::from_resolv_conf(text);
        let servers = ["127.0.0.53:53", "[::1]:5353"].map(|server| server.parse().unwrap());
        assert_eq!(resolver.servers, servers);
        assert!(resolver.trust_ad);
        assert_eq!(resolver.limit, Duration::from_secs(2));
        let nothing = Resolver::from_resolv_conf("");
        assert_eq!(nothing.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert!(!nothing.trust_ad);
    }
}
