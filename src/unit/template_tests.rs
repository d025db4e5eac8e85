use super::*;
use crate::model::{Shape, UnitScope};
use crate::unit::variables::{complaint, find};
use crate::unit::{RenderRequest, Rendered, render};

type Vars = BTreeMap<String, serde_json::Value>;

fn own(name: &str, text: &str) -> Result<Templates, TemplateFault> {
    Templates::with(BTreeMap::from([(name.to_owned(), text.to_owned())]))
}

fn rendered(templates: &Templates, profile: &str, vars: &Vars) -> Result<Rendered, TemplateFault> {
    let request = RenderRequest {
        profile,
        shape: Shape::DropIn,
        scope: &UnitScope::System,
        unit: "openclaw-gateway.service",
        gateway_version: Some("2026.9.6"),
        systemd: Some(252),
        port: 18_789,
        home: Some("/home/claw"),
        state_dir: None,
        config_path: None,
        existing: None,
        workspace: None,
        starts_with_more: false,
        vars,
    };
    render(templates, &request)
}

#[test]
fn templates_of_ones_own_take_the_places_of_the_built_in_ones() {
    let vars = BTreeMap::from([("proxy".to_owned(), "http://proxy.example:3128".into())]);
    let templates = own("baseline.j2", "[Service]\nEnvironment=PROXY={{ proxy }}\n").unwrap();
    let text = rendered(&templates, "baseline", &vars).unwrap().text;
    assert!(
        text.contains("\nEnvironment=PROXY=http://proxy.example:3128\n"),
        "{text}"
    );
    assert!(text.contains(&format!("Templates={}\n", &templates.digest()[..16])));
    let embedded = Templates::embedded().digest();
    assert_ne!(templates.digest(), embedded);
    assert_eq!(Templates::with(BTreeMap::new()).unwrap().digest(), embedded);
}

#[test]
fn what_renders_to_no_unit_file_is_a_fault() {
    let fault = |text: &str| {
        let templates = own("50-clawfleet.conf.j2", text).unwrap();
        rendered(&templates, "baseline", &BTreeMap::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        fault("[Service\nRestart=always\n"),
        "50-clawfleet.conf.j2: line 1 of what it renders to is no line of a unit file: `[Service`"
    );
    let empty = "50-clawfleet.conf.j2: what it renders to sets nothing";
    assert_eq!(fault("# nothing\n"), empty);
    assert_eq!(fault("[X-Clawfleet]\nProfile=baseline\n"), empty);
}

#[test]
fn faults_of_templates_have_their_place() {
    let unknown = own("base.j2", "").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "base.j2: there is no template of that name"
    );
    let hint = unknown.hint.unwrap();
    assert!(
        hint.contains("50-clawfleet.conf.j2, baseline.j2, guard.sh"),
        "{hint}"
    );
    let broken = own("baseline.j2", "[Service]\n  é {% if x %}\n{{ y }\n").unwrap_err();
    assert!(broken.to_string().starts_with("baseline.j2:3:"), "{broken}");
    assert!(broken.message.starts_with("syntax error"), "{broken}");
    let fault = |text: &str| {
        let templates = own("baseline.j2", text).unwrap();
        rendered(&templates, "strict", &Vars::new()).unwrap_err()
    };
    let undefined = fault("[Service]\né é {{ proxy }}\n");
    assert_eq!(
        undefined.to_string(),
        "baseline.j2:2:8: `proxy` is undefined"
    );
    assert!(undefined.hint.unwrap().contains("vars"));
    for (text, place) in [
        ("[Service]\nA={{ 1 | nothing }}\n", "baseline.j2:2:"),
        ("{% include 'own.j2' %}\n", "baseline.j2:1:"),
        // One that includes itself ends, too.
        ("{% include 'baseline.j2' %}\n", "baseline.j2:1:"),
    ] {
        let fault = fault(text);
        assert!(fault.to_string().starts_with(place), "{fault}");
        assert!(fault.to_string().len() < 300, "{}", fault.to_string().len());
    }
}

#[test]
fn every_variable_is_described() {
    let readme = include_str!("../../templates/README.md");
    let templates = Templates::embedded();
    let names = templates.names();
    assert!(names.len() > 30, "{names:?}");
    for name in &names {
        let row = format!("| `{name}` |");
        assert!(
            readme.contains(&row),
            "{name} is not in templates/README.md"
        );
    }
    for variable in &VARIABLES {
        let row = format!("| `{}` |", variable.name);
        assert!(readme.contains(&row), "{}", variable.name);
        if let Some(default) = &variable.describe().default {
            assert_eq!(complaint(variable.kind, default), None, "{}", variable.name);
        }
    }
    for row in readme.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = row.split('`').next().unwrap();
        let known = names.contains(name)
            || find(name).is_some()
            || PROFILES.contains(&name)
            || !templates.text(name).is_empty();
        assert!(known, "{name} is in templates/README.md only");
    }
    let profiles = templates.profiles();
    let described: Vec<&str> = profiles.iter().map(|profile| profile.name).collect();
    assert_eq!(described, PROFILES);
    assert!(profiles[0].variables.len() < profiles[1].variables.len());
    assert!(profiles[1].summary.contains("what agents run is in it too"));
}
