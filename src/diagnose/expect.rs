//! What the inventory expects of a gateway and what is there. What could not be seen is not unmet.

use crate::model::{
    Class, Comparison, Evidence, Facts, Finding, Gateway, Host, Subject, compare_versions,
};

use super::lasting::package_of;

/// Compares a gateway that the inventory names with what is expected of it.
pub(super) fn check(host: &Host, facts: &Facts, gateway: &Gateway) -> Option<Finding> {
    gateway.named.as_ref()?;
    let evidence: Vec<_> = version(host, facts, gateway)
        .into_iter()
        .chain(model(host, gateway))
        .chain(channels(host, gateway))
        .collect();
    (!evidence.is_empty()).then(|| Finding::new(Class::ExpectationUnmet, Subject::Host, evidence))
}

fn unmet(what: &str, wanted: String, found: String) -> Evidence {
    Evidence::Expected {
        what: what.to_owned(),
        wanted,
        found,
    }
}

/// The installed version: what runs may be older, and that is version-mismatch.
fn version(host: &Host, facts: &Facts, gateway: &Gateway) -> Option<Evidence> {
    let installed = &package_of(facts, gateway)?.version;
    let holds = |(comparison, wanted): &(Comparison, String)| {
        // A version that is no number cannot be compared, so nothing is said of it.
        compare_versions(installed, wanted).is_none_or(|order| comparison.holds(order))
    };
    if host.expect.version.iter().all(holds) {
        return None;
    }
    let range = host.expect.version.iter();
    let range: Vec<String> = range
        .map(|(comparison, wanted)| format!("{}{wanted}", comparison.sign()))
        .collect();
    Some(unmet("version", range.join(", "), installed.clone()))
}

fn model(host: &Host, gateway: &Gateway) -> Option<Evidence> {
    let wanted = host.expect.model.as_ref()?;
    let config = gateway
        .config
        .known()
        .filter(|config| config.broken.is_none())?;
    if config.primary.as_ref() == Some(wanted) {
        return None;
    }
    let found = config.primary.clone().unwrap_or_else(|| "none".into());
    Some(unmet("model", wanted.clone(), found))
}

/// Channels that are expected and not on. Others may be on as well.
fn channels(host: &Host, gateway: &Gateway) -> Option<Evidence> {
    let config = gateway
        .config
        .known()
        .filter(|config| config.broken.is_none())?;
    let missing = |name: &&String| !config.channels.contains(name);
    let missing: Vec<&str> = host
        .expect
        .channels
        .iter()
        .filter(missing)
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    let found = match config.channels.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    Some(unmet("channels", missing.join(", "), found))
}
