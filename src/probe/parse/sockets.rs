//! Listening sockets and their holders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::frame::Frame;
use crate::model::{Listener, Observed};

/// How many sockets and holders are kept.
pub(super) const MAX_LISTENERS: usize = 64;
const MAX_HOLDERS: usize = 64;

/// Reads a `sockets` frame.
pub(super) fn sockets(frame: &Frame<'_>, issue: &mut dyn FnMut(String)) -> Observed<Vec<Listener>> {
    if let Some(why) = frame.get("failed") {
        return Observed::Failed(why.into());
    }
    let holders: Vec<(u64, u32)> = frame
        .all("holder")
        .filter_map(|text| {
            let (inode, pid) = text.split_once(' ')?;
            Some((inode.parse().ok()?, pid.parse().ok()?))
        })
        .take(MAX_HOLDERS)
        .collect();
    let mut listeners = Vec::new();
    for text in frame.all("socket").take(MAX_LISTENERS) {
        let Some(mut listener) = socket(text) else {
            issue(format!("socket line `{text}`"));
            continue;
        };
        let pids: Vec<u32> = holders
            .iter()
            .filter(|(held, _)| *held == listener.inode)
            .map(|(_, pid)| *pid)
            .collect();
        if !pids.is_empty() {
            listener.pids = Observed::Known(pids);
        }
        listeners.push(listener);
    }
    Observed::Known(listeners)
}

/// Reads `ADDRESS PORT UID INODE WAITING BACKLOG`.
fn socket(text: &str) -> Option<Listener> {
    let mut words = text.split(' ');
    let address = address(words.next()?)?;
    let port = words.next()?;
    Some(Listener {
        address,
        port: port.parse().ok()?,
        uid: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
        pids: Observed::Denied("the holder of the socket is not visible".into()),
        waiting: words.next().and_then(|word| word.parse().ok()),
        backlog: words.next().and_then(|word| word.parse().ok()),
    })
}

/// An address as `ss` prints it (`127.0.0.1`, `[::1]`, `*`, `127.0.0.53%lo`), or as `/proc/net/tcp`
/// does: hexadecimal, each 32-bit word in the host's byte order. Every machine that OpenClaw runs
/// on is little-endian.
fn address(text: &str) -> Option<IpAddr> {
    if text == "*" {
        return Some(Ipv6Addr::UNSPECIFIED.into());
    }
    if text.contains(['.', ':']) {
        let bare = text.split('%').next()?;
        return bare
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
    }
    let word = |place: usize| -> Option<[u8; 4]> {
        let digits = text.get(place * 8..place * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_le_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0_u8; 16];
            for (place, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place)?);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_tables() {
        let cases = [
            ("0100007F 18789 1501 4242 0 -", "127.0.0.1"),
            ("00000000 18789 0 1 0 -", "0.0.0.0"),
            ("00000000000000000000000001000000 18789 0 1 0 -", "::1"),
            ("00000000000000000000000000000000 18789 0 1 0 -", "::"),
            (
                "0000000000000000FFFF00000100007F 18789 0 1 0 -",
                "::ffff:127.0.0.1",
            ),
            ("127.0.0.1 18789 1501 4242 0 511", "127.0.0.1"),
            ("[::1] 18789 1501 4242 0 511", "::1"),
            ("* 18789 0 1 0 511", "::"),
            ("127.0.0.53%lo 53 0 1 0 511", "127.0.0.53"),
            ("[fe80::1]%eth0 53 0 1 0 511", "fe80::1"),
        ];
        for (text, wanted) in cases {
            assert_eq!(socket(text).unwrap().address.to_string(), wanted, "{text}");
        }
        assert_eq!(socket(cases[5].0).unwrap().backlog, Some(511));
        assert_eq!(socket(cases[0].0).unwrap().backlog, None);
        for text in [
            "",
            "0100007F",
            "0100007F 1 0",
            "zz00007F 1 0 1",
            "01 1 0 1",
            "127.0.0.1 99999 0 1",
            "a.b 1 0 1",
        ] {
            assert_eq!(socket(text), None, "{text}");
        }
    }
}
