//! `openclaw.json`, as far as the probe tells of it.

use super::super::frame::Frame;
use crate::model::{GatewayConfig, Observed};

/// How many settings of one file are kept.
const MAX_LEAVES: usize = 512;

/// Reads a `config` frame.
pub(super) fn config(frame: &Frame<'_>) -> Observed<GatewayConfig> {
    if let Some(why) = frame.get("denied") {
        return Observed::Denied(why.into());
    }
    if frame.get("absent").is_some() {
        return Observed::Absent;
    }
    let text = |key: &str| frame.get(key).map(str::to_owned);
    let list = |key: &str| {
        frame
            .all(key)
            .take(MAX_LEAVES)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let pairs = |key: &str| {
        frame
            .all(key)
            .filter_map(|line| line.split_once(' '))
            .take(MAX_LEAVES)
            .map(|(path, value)| (path.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let off = list("channel_off");
    let has_secret = |kind: &str| frame.all("secret_set").any(|set| set == kind);
    Observed::Known(GatewayConfig {
        path: text("path").unwrap_or_default(),
        uid: frame.arg(0).parse().unwrap_or_default(),
        primary: text("primary"),
        fallbacks: list("fallback"),
        listed: list("listed"),
        providers: list("provider"),
        known_providers: match frame.get("catalogue") {
            Some(_) => Observed::Known(list("known")),
            None => Observed::NotCollected,
        },
        mode: text("mode"),
        bind: text("bind"),
        port: text("port"),
        auth_mode: text("auth"),
        has_token: has_secret("token"),
        has_password: has_secret("password"),
        tls: frame.get("tls") == Some("true"),
        workspace: text("workspace"),
        channels: list("channel")
            .into_iter()
            .filter(|channel| !off.contains(channel))
            .collect(),
        includes: frame.get("include").is_some(),
        broken: text("broken"),
        leaves: pairs("leaf"),
        hidden: pairs("hidden"),
    })
}
