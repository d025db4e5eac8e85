//! Models that are configured and not used.

use crate::model::{
    Class, Confidence, Evidence, Finding, Gateway, GatewayConfig, JournalSignature, Observed,
    Severity, Subject,
};
use crate::unit::year_and_month;

/// Checks the configured models against the gateway's log and its own catalogue of providers.
///
/// A primary that is merely missing from `agents.defaults.models` is *not* skipped, on no version
/// that was tried; what is skipped is a reference that does not resolve.
pub(super) fn check(gateway: &Gateway, version: Option<&str>) -> Vec<Finding> {
    unresolved(gateway)
        .into_iter()
        .chain(
            gateway
                .config
                .known()
                .into_iter()
                .flat_map(|config| unlisted(config, version)),
        )
        .collect()
}

/// A reference that does not resolve: the log says it, or the catalogues do.
fn unresolved(gateway: &Gateway) -> Option<Finding> {
    let config = gateway.config.known();
    let primary = config.and_then(|config| config.primary.as_deref());
    let logged = gateway
        .units
        .iter()
        .find_map(|unit| {
            let journal = unit.journal.known()?;
            journal.signature(JournalSignature::ModelFallback)
        })
        .filter(|(_, line)| is_about(line, config));
    let unresolved = config.and_then(|config| {
        let model = config.primary.as_deref()?;
        provider_is_unknown(config, model).then(|| Evidence::UnknownProvider {
            model: model.to_owned(),
            path: config.path.clone(),
        })
    });
    let confidence = match (&logged, &unresolved) {
        (Some(_), _) => Confidence::High,
        (None, Some(_)) => Confidence::Medium,
        (None, None) => return None,
    };
    let mut evidence: Vec<_> = unresolved.into_iter().collect();
    if let Some((count, line)) = logged {
        evidence.push(Evidence::LogLine {
            text: line.to_owned(),
            count,
            hours: 1,
        });
    }
    Some(Finding {
        confidence,
        ..Finding::new(
            Class::ModelSkipped,
            Subject::Model(primary.unwrap_or("a configured model").to_owned()),
            evidence,
        )
    })
}

/// Whether a line of the log is about a model that is configured still: after another one was configured, the
/// line stays in the journal.
fn is_about(line: &str, config: Option<&GatewayConfig>) -> bool {
    let configured: Vec<&String> = config
        .into_iter()
        .flat_map(|config| config.primary.iter().chain(&config.fallbacks))
        .collect();
    let Some(missed) = missed(line).filter(|_| !configured.is_empty()) else {
        return true;
    };
    configured.into_iter().any(|model| {
        let name = model
            .split_once('/')
            .map_or(model.as_str(), |(_, name)| name);
        [model.as_str(), name]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(missed))
    })
}

/// The model that a line says could not be used.
fn missed(line: &str) -> Option<&str> {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest);
    let ends = |c: char| c.is_whitespace() || "\"',;".contains(c);
    ["Model \"", "Unknown model: ", "requested="]
        .into_iter()
        .find_map(after)
        .and_then(|rest| rest.split(ends).next())
        .map(|model| model.trim_end_matches('.'))
        .filter(|model| !model.is_empty())
}

/// Models that a non-empty `agents.defaults.models` leaves out. On 2.x such a fallback is dropped; a
/// primary is used all the same on every version that was tried, so it is a hint and no alarm.
fn unlisted(config: &GatewayConfig, version: Option<&str>) -> Vec<Finding> {
    if config.listed.is_empty() {
        return Vec::new();
    }
    let not_listed = |model: &str| {
        (!config.listed.iter().any(|listed| listed == model)).then(|| Evidence::NotListed {
            model: model.to_owned(),
            path: config.path.clone(),
        })
    };
    let drops_fallbacks = version
        .and_then(year_and_month)
        .is_some_and(|version| version < FALLBACKS_KEPT_SINCE);
    let mut findings = Vec::new();
    for fallback in config.fallbacks.iter().filter(|_| drops_fallbacks) {
        if let Some(evidence) = not_listed(fallback) {
            findings.push(Finding {
                confidence: Confidence::Medium,
                ..Finding::new(
                    Class::ModelSkipped,
                    Subject::Model(fallback.clone()),
                    vec![evidence],
                )
            });
        }
    }
    let primary = config.primary.as_ref();
    if let Some((model, evidence)) = primary.and_then(|model| Some((model, not_listed(model)?))) {
        findings.push(Finding {
            confidence: Confidence::Low,
            severity: Severity::Info,
            ..Finding::new(
                Class::ModelSkipped,
                Subject::Model(model.clone()),
                vec![evidence],
            )
        });
    }
    findings
}

/// From this version on a fallback is used whether it is listed or not (seen on 3.1).
const FALLBACKS_KEPT_SINCE: (u32, u32) = (2026, 3);

/// Whether neither the configuration nor the installed version knows the model's provider. Where
/// the version's catalogue was not found, nothing is claimed.
fn provider_is_unknown(config: &GatewayConfig, model: &str) -> bool {
    let Some((provider, _)) = model.split_once('/') else {
        return false;
    };
    let Observed::Known(known) = &config.known_providers else {
        return false;
    };
    let same = |name: &str| name.eq_ignore_ascii_case(provider);
    !config.providers.iter().any(|name| same(name))
        && !known.iter().any(|name| same(name))
        && !PROVIDERS_SEEN.iter().any(|name| same(name))
}

/// Providers of 2026.6.10's own catalogue. Later versions ship some of them as plugins of their
/// own, whose place differs; a name that a version knew is never called unknown.
const PROVIDERS_SEEN: [&str; 49] = [
    "anthropic",
    "byteplus",
    "byteplus-plan",
    "claude-cli",
    "codex",
    "cohere",
    "comfy",
    "copilot-proxy",
    "fal",
    "fireworks",
    "github-copilot",
    "google",
    "google-gemini-cli",
    "google-vertex",
    "huggingface",
    "litellm",
    "lmstudio",
    "microsoft-foundry",
    "minimax",
    "minimax-portal",
    "mistral",
    "moonshot",
    "novita",
    "novita-ai",
    "novitaai",
    "nvidia",
    "ollama",
    "ollama-cloud",
    "openai",
    "openai-codex",
    "opencode",
    "opencode-go",
    "openrouter",
    "sglang",
    "synthetic",
    "tencent-tokenhub",
    "together",
    "venice",
    "vercel-ai-gateway",
    "vllm",
    "volcengine",
    "volcengine-plan",
    "vydra",
    "xai",
    "xiaomi",
    "xiaomi-token-plan",
    "zai",
    "amazon-bedrock",
    "azure-openai",
];
