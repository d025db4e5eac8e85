//! Connections of the controller's own: names, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// The largest file of certificates that is read, in bytes. The system's own list is 220 KiB.
const MAX_CA_FILE: u64 = 4 << 20;

/// What bytes travel over.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection.
pub(super) type Stream = Box<dyn Bytes>;

/// Whom a channel trusts.
#[derive(Clone)]
pub(super) enum Trust {
    /// The system's list of authorities, read when it is first needed.
    System,
    /// These alone.
    Own(TlsConnector),
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Own(_) => "Own",
        })
    }
}

impl Trust {
    /// Reads a file of authorities (PEM).
    pub(super) fn of(file: &Path) -> Result<Self, String> {
        let why = |error: io::Error| {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            text.to_lowercase()
        };
        let seen = std::fs::metadata(file).map_err(why)?;
        if !seen.is_file() || seen.len() > MAX_CA_FILE {
            return Err("is no file of certificates".to_owned());
        }
        let bytes = std::fs::read(file).map_err(why)?;
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| "is no PEM file")?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        }
        if roots.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        connector(roots).map(Self::Own)
    }

    fn connector(&self) -> Result<TlsConnector, String> {
        static SYSTEM: OnceLock<Result<TlsConnector, String>> = OnceLock::new();
        match self {
            Self::Own(connector) => Ok(connector.clone()),
            Self::System => SYSTEM.get_or_init(system).clone(),
        }
    }
}

/// The system's authorities, from where OpenSSL would look for them (SSL_CERT_FILE and SSL_CERT_DIR
/// are honoured).
fn system() -> Result<TlsConnector, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(
            "TLS: this machine has no list of certificate authorities: install ca-certificates, or set `ca_file`"
                .to_owned(),
        );
    }
    connector(roots)
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects. Every address of a name is tried, each with a fair share of what is left of the time.
pub(super) async fn dial(host: &str, port: u16, deadline: Instant) -> Result<Stream, String> {
    let found = timeout_at(deadline, lookup_host((host, port)))
        .await
        .map_err(|_| format!("DNS: no answer about {host} in time"))?
        .map_err(|error| format!("DNS: {host}: {error}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    let mut last = format!("DNS: {host} has no address");
    for (place, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - place).unwrap_or(1);
        let share = (left / others.max(1)).max(Duration::from_millis(100));
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for each other's acknowledgements.
                let _ = stream.set_nodelay(true);
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => last = format!("connect to {host}, {address}: {}", words(&error)),
            Err(_) => last = format!("connect to {host}, {address}: no answer in time"),
        }
    }
    Err(last)
}

/// Speaks TLS on a stream, with the server of that name.
pub(super) async fn tls(
    stream: Stream,
    host: &str,
    trust: &Trust,
    deadline: Instant,
) -> Result<Stream, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("TLS: {host} is no name of a server"))?;
    let connecting = trust.connector()?.connect(name, stream);
    match timeout_at(deadline, connecting).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(format!("TLS with {host}: {}", tls_words(&error))),
        Err(_) => Err(format!("TLS with {host}: no answer in time")),
    }
}

/// Says why TLS failed, and what helps where that is known.
fn tls_words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "nobody whom this machine trusts vouches for its certificate; `ca_file` names an \
             authority of your own"
                .to_owned()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another name".to_owned(),
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its certificate has expired".to_owned(),
        Some(Error::InvalidMessage(_)) => "it speaks no TLS".to_owned(),
        _ => words(error),
    }
}

/// An error of the system, without its number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}
