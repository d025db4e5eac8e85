use super::*;
use proptest::prelude::*;

type Vars = BTreeMap<String, Value>;

fn vars(pairs: &[(&str, Value)]) -> Vars {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn user() -> UnitScope {
    UnitScope::User {
        user: "claw".into(),
        uid: 1501,
    }
}

fn request<'a>(profile: &'a str, scope: &'a UnitScope, vars: &'a Vars) -> RenderRequest<'a> {
    RenderRequest {
        profile,
        shape: Shape::DropIn,
        scope,
        unit: "openclaw-gateway.service",
        gateway_version: Some("2026.6.10"),
        systemd: Some(252),
        port: 18_789,
        home: Some("/home/claw"),
        state_dir: Some("/home/claw/.openclaw"),
        config_path: Some("/home/claw/.openclaw/openclaw.json"),
        existing: None,
        vars,
    }
}

fn rendered(request: &RenderRequest<'_>) -> Rendered {
    match render(&Templates::embedded(), request) {
        Ok(rendered) => rendered,
        Err(fault) => panic!("{fault}"),
    }
}

fn fault(request: &RenderRequest<'_>) -> TemplateFault {
    render(&Templates::embedded(), request).unwrap_err()
}

/// What the file sets a key to.
fn value(rendered: &Rendered, key: &str) -> Option<String> {
    let mut found = rendered
        .settings
        .iter()
        .filter(|setting| setting.key == key);
    let value = found.next().map(|setting| setting.value.clone());
    assert!(found.next().is_none(), "{key} twice");
    value
}

#[test]
fn dump() {
    let Ok(dir) = std::env::var("CLAWFLEET_RENDER_TO") else {
        return;
    };
    for (name, scope) in [("system", UnitScope::System), ("user", user())] {
        for (version, systemd) in [
            ("2026.6.10", 247),
            ("2026.6.10", 252),
            ("2026.9.6", 252),
            ("2026.9.6", 257),
        ] {
            for profile in PROFILES {
                for (label, set) in [
                    ("", vars(&[])),
                    ("-end", vars(&[("guard", json!("end"))])),
                    ("-ns", vars(&[("user_namespace", json!(true))])),
                    ("-sudo", vars(&[("allow_sudo", json!(true))])),
                    (
                        "-open",
                        vars(&[("namespaces", json!(true)), ("devices", json!(true))]),
                    ),
                ] {
                    let request = RenderRequest {
                        gateway_version: Some(version),
                        systemd: Some(systemd),
                        ..request(profile, &scope, &set)
                    };
                    let path = format!("{dir}/{name}-{profile}{label}-{version}-{systemd}.conf");
                    std::fs::write(path, rendered(&request).text).unwrap();
                }
            }
        }
    }
}
