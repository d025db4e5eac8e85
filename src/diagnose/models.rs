//! Models that are configured and not used.

use crate::model::{
    Class, Confidence, Evidence, Finding, Gateway, GatewayConfig, JournalSignature, Observed,
    Subject,
};

/// Checks the configured models against the gateway's log and its own catalogue of providers.
///
/// A primary that is merely missing from `agents.defaults.models` is *not* skipped, on no version
/// that was tried; what is skipped is a reference that does not resolve.
pub(super) fn check(gateway: &Gateway) -> Option<Finding> {
    let config = gateway.config.known();
    let primary = config.and_then(|config| config.primary.as_deref());
    let logged = gateway.units.iter().find_map(|unit| {
        let journal = unit.journal.known()?;
        journal.signature(JournalSignature::ModelFallback)
    });
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
