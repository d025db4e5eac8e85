//! A headless Chromium, driven over its DevTools protocol.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A browser that takes longer than this is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What a key does is seen by then.
const SEEN: Duration = Duration::from_secs(20);

/// Whatever says that something went wrong in the page.
const TROUBLE: [&str; 4] = [
    "Runtime.exceptionThrown",
    "Runtime.consoleAPICalled",
    "Log.entryAdded",
    "Audits.issueAdded",
];

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocketStream<TcpStream>,
    session: Option<String>,
    last_id: u64,
    /// What happened since it was last asked.
    events: Vec<Value>,
    dir: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts one, with nothing of any other's profile.
    pub(crate) async fn start() -> Self {
        let program = crate::program(
            &[
                "chromium",
                "chromium-browser",
                "google-chrome",
                "chromium-headless-shell",
            ],
            "chromium",
        );
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("profile");
        let mut command = Command::new(program);
        command
            .args([
                "--headless",
                "--remote-debugging-port=0",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if rustix::process::geteuid().is_root() {
            // Its sandbox wants another user.
            command.arg("--no-sandbox");
        }
        let child = command.spawn().unwrap();
        let told = wait_for(&profile.join("DevToolsActivePort"));
        let (port, path) = told.trim().split_once('\n').unwrap();
        let stream = TcpStream::connect(format!("127.0.0.1:{port}"))
            .await
            .unwrap();
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::client_async(address, stream)
            .await
            .unwrap();
        let mut browser = Self {
            child,
            socket,
            session: None,
            last_id: 0,
            events: Vec::new(),
            dir,
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attached = browser
            .call(
                "Target.attachToTarget",
                json!({"targetId": target["targetId"], "flatten": true}),
            )
            .await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in [
            "Page",
            "Runtime",
            "Log",
            "Network",
            "Audits",
            "Accessibility",
        ] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Asks for something and waits for its answer.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        let text = Message::text(request.to_string());
        self.socket.send(text).await.unwrap();
        loop {
            let message = self.next().await;
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(STUCK, self.socket.next()).await;
            match message.expect("the browser is stuck").unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(_) => panic!("the browser left"),
                _ => {}
            }
        }
    }

    /// Opens a page from a file of its own and waits until it is loaded.
    pub(crate) async fn open(&mut self, html: &str) {
        let file = self.dir.path().join("report.html");
        std::fs::write(&file, html).unwrap();
        self.events.clear();
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", json!({"url": url})).await;
        while !self.has("Page.loadEventFired") {
            let event = self.next().await;
            self.events.push(event);
        }
    }

    fn has(&self, method: &str) -> bool {
        self.events.iter().any(|event| event["method"] == method)
    }

    /// What the page complained of, its console's lines and violations of its policy among them.
    pub(crate) async fn trouble(&mut self) -> Vec<Value> {
        // What was said before this answer has arrived with it.
        self.eval("1").await;
        let events = std::mem::take(&mut self.events);
        events
            .into_iter()
            .filter(|event| TROUBLE.iter().any(|method| event["method"] == *method))
            .collect()
    }

    /// The addresses that were asked for since the page was opened.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .map(|event| {
                event["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    /// The value of an expression in the page.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        let result = self
            .call(
                "Runtime.evaluate",
                json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
            )
            .await;
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression in the page has that value, as a person waits for what they see.
    pub(crate) async fn comes_to(&mut self, expression: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        let begin = Instant::now();
        loop {
            let found = self.eval(expression).await;
            if found == wanted {
                return;
            }
            assert!(
                begin.elapsed() < SEEN,
                "{expression} is {found}, and not {wanted}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Presses a key as a person does.
    pub(crate) async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            other => panic!("{other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Types into what has the focus.
    pub(crate) async fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Makes the window that wide, by light or in the dark.
    pub(crate) async fn look(&mut self, width: u32, dark: bool) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}),
        )
        .await;
        let scheme = if dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        )
        .await;
    }

    /// Keeps a picture of a part of the page, for people to look at.
    pub(crate) async fn picture(&mut self, name: &str, width: u32, top: u64, height: u64) {
        let shot = self
            .call(
                "Page.captureScreenshot",
                json!({
                    "format": "png",
                    "captureBeyondViewport": true,
                    "clip": {"x": 0, "y": top, "width": width, "height": height, "scale": 1},
                }),
            )
            .await;
        let picture = Base64::decode_vec(shot["data"].as_str().unwrap()).unwrap();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(file, picture).unwrap();
    }
}

fn wait_for(file: &Path) -> String {
    let begin = Instant::now();
    loop {
        match std::fs::read_to_string(file) {
            Ok(text) if text.contains('\n') => return text,
            _ if begin.elapsed() > STUCK => panic!("the browser did not start"),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
