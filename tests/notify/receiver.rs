//! An HTTP server that notes what it gets and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes.
    Raw(String),
    /// Nothing, for ever.
    Hang,
    /// This beginning, and then bytes without end.
    Endless(String),
}

/// An answer with its length.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Answer {
    Answer::Raw(format!(
        "HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) fn ok(body: &str) -> Answer {
    answer(200, "Content-Type: application/json\r\n", body)
}

type Handler = dyn FnMut(&Request) -> Answer + Send;

pub(crate) struct Receiver {
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) async fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::with(handler, None).await
    }

    /// One that answers the same always.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(move |_| answer.clone()).await
    }

    /// One that speaks TLS with that certificate of `tests/notify/tls`.
    pub(crate) async fn tls(name: &str, answer: Answer) -> Self {
        Self::with(move |_| answer.clone(), Some(acceptor(name))).await
    }

    async fn with(
        handler: impl FnMut(&Request) -> Answer + Send + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Mutex<Box<Handler>>> = Arc::new(Mutex::new(Box::new(handler)));
        let noted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, handler, tls) = (noted.clone(), handler.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, &noted, &handler).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, &noted, &handler).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn only(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

pub(crate) fn acceptor(name: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(crate::file(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(crate::file(&format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Reads a head, up to its blank line.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    noted: &Mutex<Vec<Request>>,
    handler: &Mutex<Box<Handler>>,
) {
    let Some(head) = head(&mut stream).await else {
        return;
    };
    let mut lines = head.lines();
    let mut request = Request {
        line: lines.next().unwrap().to_owned(),
        ..Request::default()
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request
            .headers
            .insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    request.body = String::from_utf8(body).unwrap();
    noted.lock().unwrap().push(request.clone());
    let answer = (handler.lock().unwrap())(&request);
    match answer {
        Answer::Raw(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Answer::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
        Answer::Endless(begin) => {
            let _ = stream.write_all(begin.as_bytes()).await;
            let block = vec![b'x'; 1 << 16];
            while stream.write_all(&block).await.is_ok() {}
        }
    }
}
