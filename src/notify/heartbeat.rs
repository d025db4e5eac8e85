//! The heartbeat, as healthchecks.io and what is like it take it: `URL/start` when a run begins, `URL` or
//! `URL/EXITCODE` when it ends, the same `rid` in both, a short text as body.

use std::path::Path;
use std::time::Duration;

use super::Proxies;
use super::http::{Patience, Post, post_within};
use super::net::Trust;
use crate::model::{HeartbeatEnd, WebAddress};

/// How long one try may take. A watchdog answers in well under a second, and nobody waits for it longer.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    whole: Duration::from_secs(10),
};

/// Before the second and last try.
const PAUSE: Duration = Duration::from_secs(1);

/// What is sent of a body at most, in bytes: what healthchecks.io always kept of one.
pub const MAX_HEARTBEAT: usize = 10_000;

/// A watchdog that can be told. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Heartbeat {
    address: WebAddress,
    trust: Trust,
    uses_proxies: bool,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A run begins.
    Start,
    /// A run has ended.
    End(HeartbeatEnd),
}

impl Heartbeat {
    /// Makes it ready. Nothing is sent.
    ///
    /// # Errors
    /// An address that is none, authorities that cannot be read; in words that hold nothing of the address.
    pub fn new(
        url: &str,
        ca_file: Option<&Path>,
        uses_proxies: bool,
        plaintext: bool,
    ) -> Result<Self, String> {
        let address = WebAddress::parse(url).map_err(|why| format!("its address {why}"))?;
        if !address.https && !address.is_loopback() && !plaintext {
            return Err(
                "its address begins with http://: everybody on the way reads it; begin it with https://, or say `plaintext: true` in the inventory".to_owned(),
            );
        }
        let trust = match ca_file {
            None => Trust::System,
            Some(file) => {
                Trust::of(file).map_err(|why| format!("its `ca_file` {}: {why}", file.display()))?
            }
        };
        Ok(Self {
            address,
            trust,
            uses_proxies,
        })
    }

    /// Returns where it is: the host, without what may be a secret.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// Tells it, and tries once more where that may help. `run` is the same for a run's begin and end.
    ///
    /// # Errors
    /// Why it was not told, in words that hold nothing of the address but its host.
    pub async fn tell(
        &self,
        beat: Beat,
        run: &str,
        body: &str,
        proxies: &Proxies,
    ) -> Result<(), String> {
        let Some(address) = addressed(&self.address, beat, run) else {
            return Ok(());
        };
        match self.try_once(&address, body, proxies).await {
            Err(Missed { why, passes: false }) => return Err(why),
            Err(Missed { passes: true, .. }) => tokio::time::sleep(PAUSE).await,
            Ok(()) => return Ok(()),
        }
        let again = self.try_once(&address, body, proxies).await;
        again.map_err(|missed| missed.why)
    }

    async fn try_once(
        &self,
        address: &WebAddress,
        body: &str,
        proxies: &Proxies,
    ) -> Result<(), Missed> {
        let post = Post {
            address: address.clone(),
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: cut(body).to_owned(),
        };
        let proxies = self.uses_proxies.then_some(proxies);
        let reply = post_within(post, proxies, &self.trust, PATIENCE)
            .await
            .map_err(|why| Missed { why, passes: true })?;
        let why = match reply.status {
            // healthchecks.io has answered so to addresses that it does not know.
            200..=299 if reply.body.starts_with(b"OK (not found)") => {
                "it does not know this address (200, not found)".to_owned()
            }
            200..=299 => return Ok(()),
            404 | 410 => format!("it does not know this address ({})", reply.status),
            300..=399 => match reply.leads_to {
                Some(place) => format!(
                    "it answered {} and leads to {place}; redirects are not followed",
                    reply.status
                ),
                None => format!("it answered {}", reply.status),
            },
            status => format!("it answered {status}"),
        };
        let passes = matches!(reply.status, 408 | 425 | 429 | 500..=599);
        Err(Missed { why, passes })
    }
}

/// Why a try came to nothing, and whether another one may come to something.
struct Missed {
    why: String,
    passes: bool,
}

/// The address of what is told: the suffix stands before the query, the run in it.
fn addressed(address: &WebAddress, beat: Beat, run: &str) -> Option<WebAddress> {
    let (path, query) = match address.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address.path.as_str(), None),
    };
    let path = path.trim_end_matches('/');
    let path = match beat {
        Beat::Start => format!("{path}/start"),
        Beat::End(HeartbeatEnd::Success) if path.is_empty() => "/".to_owned(),
        Beat::End(HeartbeatEnd::Success) => path.to_owned(),
        Beat::End(HeartbeatEnd::Failure(code)) => format!("{path}/{code}"),
        Beat::End(HeartbeatEnd::Silent) => return None,
    };
    let path = match query {
        Some(query) if !query.is_empty() => format!("{path}?{query}&rid={run}"),
        _ => format!("{path}?rid={run}"),
    };
    Some(WebAddress {
        path,
        ..address.clone()
    })
}

/// As much of a text as is sent.
fn cut(text: &str) -> &str {
    if text.len() <= MAX_HEARTBEAT {
        return text;
    }
    let whole = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = whole.take_while(|end| *end <= MAX_HEARTBEAT).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_convention_of_addresses() {
        let end = |code| Beat::End(HeartbeatEnd::Failure(code));
        let well = Beat::End(HeartbeatEnd::Success);
        let table = [
            ("https://a.example/u", Beat::Start, "/u/start?rid=R"),
            ("https://a.example/u/", Beat::Start, "/u/start?rid=R"),
            ("https://a.example/u", well, "/u?rid=R"),
            ("https://a.example", well, "/?rid=R"),
            ("https://a.example", Beat::Start, "/start?rid=R"),
            ("https://a.example/u?create=1", well, "/u?create=1&rid=R"),
            (
                "https://a.example/u?create=1",
                end(78),
                "/u/78?create=1&rid=R",
            ),
            ("https://a.example/u?", end(2), "/u/2?rid=R"),
        ];
        for (url, beat, wanted) in table {
            let address = WebAddress::parse(url).unwrap();
            assert_eq!(
                addressed(&address, beat, "R").unwrap().path,
                wanted,
                "{url}"
            );
        }
        let address = WebAddress::parse("https://a.example/u").unwrap();
        assert_eq!(
            addressed(&address, Beat::End(HeartbeatEnd::Silent), "R"),
            None
        );
    }

    #[test]
    fn a_body_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(MAX_HEARTBEAT);
        assert_eq!(cut(&long).len(), MAX_HEARTBEAT);
        let odd = format!("a{long}");
        assert_eq!(cut(&odd).len(), MAX_HEARTBEAT - 1);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_it() {
        let secret = "0b9e4e4a-1ff9";
        for url in [
            format!("hc.example/{secret}"),
            format!("http://hc.example/{secret}"),
            format!("https://hc.example/{secret} x"),
        ] {
            let why = Heartbeat::new(&url, None, true, false).unwrap_err();
            assert!(!why.contains(secret), "{why}");
        }
        let ready = Heartbeat::new(&format!("https://hc.example/{secret}"), None, true, false);
        let ready = ready.unwrap();
        assert!(!format!("{ready:?}").contains(secret));
        assert_eq!(ready.place(), "https://hc.example/…");
    }
}
