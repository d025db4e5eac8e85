//! A TCP connection to a server: its name resolved, its addresses tried in turn.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::StageClock;
use crate::model::{AddressFamily, HostOutcome, SshSettings, Stage, Timeouts};

/// How long an address may keep the next one waiting (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);

/// The pause between two attempts, as ssh makes it.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Resolves and connects, as often as the settings say. Returns when the attempt was to end, too.
pub(super) async fn dial(
    settings: &SshSettings,
    timeouts: &Timeouts,
    clock: &StageClock,
) -> Result<(TcpStream, Instant), HostOutcome> {
    let addresses = resolve(settings, timeouts, clock).await?;
    clock.enter(Stage::Tcp);
    let mut tried = 1;
    loop {
        match try_all(settings, timeouts, clock, &addresses).await {
            Err(_) if tried < settings.attempts => {
                tried += 1;
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            other => return other,
        }
    }
}

async fn resolve(
    settings: &SshSettings,
    timeouts: &Timeouts,
    clock: &StageClock,
) -> Result<Vec<SocketAddr>, HostOutcome> {
    let name = settings.host_name.as_str();
    let looked_up = timeout(timeouts.dns, tokio::net::lookup_host((name, settings.port)));
    let addresses: Vec<SocketAddr> = match looked_up.await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            return Err(HostOutcome::Unreachable(
                clock
                    .error(format!("`{name}` does not resolve: {error}"))
                    .hint(
                        "set the host's `address` in the inventory, or its HostName in ssh_config",
                    ),
            ));
        }
        Err(_) => {
            return Err(HostOutcome::TimedOut(
                clock.error(format!("`{name}` did not resolve in time")),
            ));
        }
    };
    let (family, wanted): (fn(&SocketAddr) -> bool, _) = match settings.family {
        AddressFamily::Any => (|_| true, "any"),
        AddressFamily::Inet => (SocketAddr::is_ipv4, "IPv4"),
        AddressFamily::Inet6 => (SocketAddr::is_ipv6, "IPv6"),
    };
    let fitting: Vec<SocketAddr> = addresses.into_iter().filter(family).collect();
    if fitting.is_empty() {
        return Err(HostOutcome::Unreachable(clock.error(format!(
            "`{name}` has no {wanted} address, and AddressFamily wants one"
        ))));
    }
    Ok(fitting)
}

/// Tries every address. One that does not answer keeps the next waiting for a moment only.
async fn try_all(
    settings: &SshSettings,
    timeouts: &Timeouts,
    clock: &StageClock,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, Instant), HostOutcome> {
    let deadline = Instant::now() + settings.connect_timeout.unwrap_or(timeouts.tcp);
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut silent = None;
    loop {
        if let Some(address) = waiting.next() {
            silent = Some(address);
            running.push(async move { (address, connect(settings, address).await) });
        }
        let next = if waiting.len() > 0 {
            deadline.min(Instant::now() + STAGGER)
        } else {
            deadline
        };
        let ended = tokio::select! {
            Some(ended) = running.next() => ended,
            () = sleep_until(next) => {
                if Instant::now() < deadline {
                    continue;
                }
                let who = silent.map(|address| tried(settings, address)).unwrap_or_default();
                return Err(HostOutcome::TimedOut(
                    clock.error(who + "no answer to the TCP connect"),
                ));
            }
        };
        match ended {
            (_, Ok(stream)) => {
                // Nagle's algorithm costs one to three round trips per login.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(host = %settings.name, %error, "TCP_NODELAY");
                }
                return Ok((stream, deadline));
            }
            (address, Err(error)) => {
                if running.is_empty() && waiting.len() == 0 {
                    return Err(HostOutcome::Unreachable(
                        clock.error(tried(settings, address) + &io_words(&error)),
                    ));
                }
            }
        }
    }
}

async fn connect(settings: &SshSettings, address: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(from) = &settings.bind_address else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let from: Vec<SocketAddr> = tokio::net::lookup_host((from.as_str(), 0)).await?.collect();
    let fitting = from.iter().find(|from| from.is_ipv4() == address.is_ipv4());
    let Some(from) = fitting else {
        return Err(std::io::Error::other(
            "BindAddress is of the other address family",
        ));
    };
    socket.bind(*from)?;
    socket.connect(address).await
}

/// Names the address that was tried where the inventory gives only a name. Otherwise hosts with the
/// same trouble say the same.
fn tried(settings: &SshSettings, address: SocketAddr) -> String {
    match settings.host_name.parse::<IpAddr>() {
        Ok(known) if known == address.ip() => String::new(),
        _ => format!("{}: ", address.ip()),
    }
}

/// The system's words without their number.
pub(super) fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "no route to the host".into(),
        ErrorKind::NetworkUnreachable => "the network is unreachable".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}
