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
        workspace: None,
        starts_with_more: false,
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
fn the_baseline_follows_the_version_to_its_last_number() {
    let (system, none) = (UnitScope::System, vars(&[]));
    let of = |version: Option<&'static str>, key: &str| {
        let request = RenderRequest {
            gateway_version: version,
            ..request("baseline", &system, &none)
        };
        value(&rendered(&request), key).unwrap_or_default()
    };
    // version, KillMode, TimeoutStopSec, OOMPolicy
    let cases = [
        (Some("2026.3.1"), "control-group", "30", ""),
        (Some("2026.6.10"), "control-group", "30", ""),
        (Some("2026.7.0"), "control-group", "30", ""),
        (Some("2026.7.1"), "control-group", "30", "continue"),
        (Some("2026.8.0"), "control-group", "30", "continue"),
        (Some("2026.8.1"), "control-group", "330", "continue"),
        (Some("2026.9.1"), "control-group", "330", "continue"),
        (Some("2026.9.2"), "control-group", "330", "continue"),
        (Some("2026.9.3"), "mixed", "330", "continue"),
        (Some("2026.9.3-beta.2"), "mixed", "330", "continue"),
        (Some("2026.9.10"), "mixed", "330", "continue"),
        (Some("2026.10.1"), "mixed", "330", "continue"),
        (Some("2027.1.1"), "mixed", "330", "continue"),
        // Nothing is known: the stop is not cut short, and nothing is left behind.
        (None, "control-group", "330", ""),
        (Some("latest"), "control-group", "330", ""),
        (
            Some("2026.9.6\nExecStart=/bin/x"),
            "control-group",
            "330",
            "",
        ),
    ];
    for (version, kill_mode, stop, oom) in cases {
        assert_eq!(of(version, "KillMode"), kill_mode, "{version:?}");
        assert_eq!(of(version, "TimeoutStopSec"), stop, "{version:?}");
        assert_eq!(of(version, "OOMPolicy"), oom, "{version:?}");
        assert_eq!(of(version, "RestartPreventExitStatus"), "78");
        assert_eq!(of(version, "SuccessExitStatus"), "0 143");
    }
}

#[test]
fn a_directive_is_only_there_where_systemd_knows_it() {
    let (system, none) = (UnitScope::System, vars(&[]));
    let has = |systemd: Option<u32>, key: &str| {
        let request = RenderRequest {
            systemd,
            gateway_version: Some("2026.9.6"),
            ..request("strict", &system, &none)
        };
        value(&rendered(&request), key).is_some()
    };
    for (key, since) in [
        ("OOMPolicy", 243),
        ("RestrictSUIDSGID", 242),
        ("ProtectHostname", 242),
        ("ProtectKernelLogs", 244),
        ("ProtectClock", 245),
        ("ProtectProc", 247),
        ("SystemCallFilter", 239),
        ("LockPersonality", 235),
        ("RestrictNamespaces", 233),
    ] {
        assert!(has(Some(since), key), "{key}");
        assert!(!has(Some(since - 1), key), "{key}");
        assert!(!has(None, key), "{key}");
    }
    assert!(has(None, "NoNewPrivileges"));
}

#[test]
fn a_user_unit_has_only_what_its_manager_can_do() {
    let (scope, none) = (user(), vars(&[]));
    let plain = rendered(&request("strict", &scope, &none));
    for key in [
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "PrivateDevices",
        "PrivateUsers",
        "ProtectSystem",
        "ProtectHome",
        "ProtectKernelLogs",
        "ProtectClock",
        "ReadWritePaths",
    ] {
        assert_eq!(value(&plain, key), None, "{key}");
    }
    for key in ["NoNewPrivileges", "SystemCallFilter", "RestrictNamespaces"] {
        assert!(value(&plain, key).is_some(), "{key}");
    }
    let set = vars(&[("user_namespace", json!(true))]);
    let namespace = rendered(&request("strict", &scope, &set));
    assert_eq!(value(&namespace, "PrivateUsers").unwrap(), "yes");
    assert_eq!(value(&namespace, "ProtectSystem").unwrap(), "strict");
    assert_eq!(value(&namespace, "CapabilityBoundingSet"), None);
}

#[test]
fn sudo_stays_possible_where_it_is_wanted() {
    let set = vars(&[("allow_sudo", json!(true))]);
    let keys = |scope: &UnitScope, systemd| {
        let request = RenderRequest {
            systemd: Some(systemd),
            ..request("strict", scope, &set)
        };
        let settings = rendered(&request).settings;
        settings
            .into_iter()
            .map(|setting| setting.key)
            .collect::<BTreeSet<_>>()
    };
    // On these systemd versions each of them implies NoNewPrivileges= for a unit with User=.
    let implying = [
        "NoNewPrivileges",
        "RestrictSUIDSGID",
        "SystemCallFilter",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "LockPersonality",
        "SystemCallArchitectures",
        "PrivateDevices",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectClock",
        "ProtectHostname",
    ];
    for (scope, systemd) in [(UnitScope::System, 252), (user(), 252), (user(), 257)] {
        let keys = keys(&scope, systemd);
        for key in implying {
            assert!(!keys.contains(key), "{key} {scope:?} {systemd}");
        }
        assert!(keys.contains("UMask"));
    }
    let newer = keys(&UnitScope::System, 257);
    assert!(newer.contains("SystemCallFilter"));
    assert!(!newer.contains("NoNewPrivileges"));
    assert!(!newer.contains("CapabilityBoundingSet"));
}

#[test]
fn what_the_gateway_writes_to_stays_writable() {
    let (system, none) = (UnitScope::System, vars(&[]));
    let paths = |change: fn(&mut RenderRequest<'_>), set: &Vars| {
        let mut request = RenderRequest {
            vars: set,
            ..request("strict", &system, &none)
        };
        change(&mut request);
        value(&rendered(&request), "ReadWritePaths").unwrap()
    };
    let usual = "-/home/claw/.openclaw -/home/claw/.npm -/home/claw/.cache -/tmp -/var/tmp";
    assert_eq!(paths(|_| (), &none), usual);
    // Without a state directory it is the usual one.
    assert_eq!(paths(|request| request.state_dir = None, &none), usual);
    assert_eq!(
        paths(|request| request.state_dir = Some("/srv/a b/100%"), &none),
        "\"-/srv/a b/100%%\" -/home/claw/.openclaw -/tmp -/var/tmp"
    );
    assert_eq!(
        paths(
            |request| {
                request.config_path = Some("/etc/openclaw/openclaw.json");
                request.existing = Some("[Service]\nEnvironment=\"A=b\" TMPDIR=/scratch\n");
            },
            &vars(&[("writable_paths", json!(["/srv/repos", "/tmp/x"]))]),
        ),
        "-/home/claw/.openclaw -/etc/openclaw -/home/claw/.npm -/home/claw/.cache -/tmp -/var/tmp -/scratch -/srv/repos"
    );
    // Nothing makes the whole file system writable.
    assert_eq!(
        paths(
            |request| request.config_path = Some("/openclaw.json"),
            &vars(&[("writable_paths", json!(["/"]))])
        ),
        usual
    );
    // Without a home nobody knows where the state is.
    let homeless = RenderRequest {
        home: None,
        state_dir: None,
        ..request("strict", &system, &none)
    };
    let fault = fault(&homeless);
    assert_eq!(fault.file, "strict.j2");
    assert_eq!(fault.message, "`writable` is undefined");
}

#[test]
fn each_file_says_what_it_was_made_of_and_how_it_is_undone() {
    let none = vars(&[]);
    for scope in [UnitScope::System, user()] {
        for profile in PROFILES {
            let rendered = rendered(&request(profile, &scope, &none));
            let text = &rendered.text;
            assert!(text.starts_with("# Written by clawfleet"), "{text}");
            let undo = match scope {
                UnitScope::System => {
                    "rm /etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf"
                }
                UnitScope::User { .. } => {
                    "as claw: rm ~/.config/systemd/user/openclaw-gateway.service.d/50-clawfleet.conf"
                }
            };
            assert!(text.contains(undo), "{text}");
            let digest = Templates::embedded().digest();
            let made = format!(
                "[X-Clawfleet]\nProfile={profile}\nTemplates={}\nGatewayVersion=2026.6.10\n",
                &digest[..16]
            );
            assert!(text.ends_with(&made), "{text}");
            assert!(
                !rendered
                    .settings
                    .iter()
                    .any(|setting| setting.key == "Profile")
            );
            assert!(!text.contains("\n\n\n") && !text.contains(" \n"), "{text}");
        }
    }
}

#[test]
fn the_guard_is_one_argument() {
    let (system, user) = (UnitScope::System, user());
    let guard = |scope: &UnitScope, mode: &str| {
        let set = vars(&[("guard", json!(mode)), ("guard_wait_s", json!(20))]);
        value(&rendered(&request("baseline", scope, &set)), "ExecStartPre")
    };
    assert_eq!(guard(&system, "off"), None);
    let line = guard(&system, "end").unwrap();
    let words = quote::words(&line).unwrap();
    assert_eq!(words[..2], ["-+/bin/sh", "-c"]);
    assert_eq!(words[3..], ["clawfleet-guard", "18789", "end", "20"]);
    let script = words[2].replace("$$", "$").replace("%%", "%");
    assert!(script.starts_with("cgroup_of() {\ncgroup=\n"), "{script}");
    assert!(script.contains("printf '%04X' \"$1\""), "{script}");
    // The probe passes over longer lines.
    assert!(line.len() < 3_900, "{}", line.len());
    assert!(guard(&user, "report").unwrap().starts_with("-/bin/sh -c "));
}

#[test]
fn a_whole_unit_keeps_what_it_replaces() {
    let (system, none) = (UnitScope::System, vars(&[]));
    let existing = "[Unit]\nDescription=Mine\nAfter=tailscaled.service network-online.target\nStartLimitBurst=5\n\
        Requires=tailscaled.service\n[Service]\nUser=claw\nWorkingDirectory=/home/claw\n\
        ExecStart=/usr/bin/openclaw gateway --port 18789\nExecStartPre=/bin/true\nExecStartPre=/bin/echo 100%%\n\
        Environment=A=1\nEnvironment=\"B=2 3\"\nEnvironmentFile=-/etc/openclaw/env\nKillMode=process\nMemoryMax=2G\n\
        LimitNOFILE=65536\n[Install]\nWantedBy=graphical.target\n";
    let whole = RenderRequest {
        shape: Shape::Full,
        existing: Some(existing),
        workspace: None,
        starts_with_more: false,
        ..request("baseline", &system, &none)
    };
    let first = rendered(&whole);
    let lines: Vec<&str> = first.text.lines().collect();
    for line in [
        "Description=Mine",
        "After=network-online.target tailscaled.service",
        "Wants=network-online.target",
        "Requires=tailscaled.service",
        "User=claw",
        "WorkingDirectory=/home/claw",
        "ExecStart=/usr/bin/openclaw gateway --port 18789",
        "ExecStartPre=/bin/true",
        "ExecStartPre=/bin/echo 100%%",
        "Environment=A=1",
        "Environment=\"B=2 3\"",
        "EnvironmentFile=-/etc/openclaw/env",
        "KillMode=control-group",
        "StartLimitBurst=10",
        "MemoryMax=2G",
        "LimitNOFILE=65536",
        "WantedBy=graphical.target",
    ] {
        let count = lines.iter().filter(|other| **other == line).count();
        assert_eq!(count, 1, "{line}\n{}", first.text);
    }
    assert!(!first.text.contains("KillMode=process"));
    // Rendered again from itself, it is the same; and back from strict, nothing of strict is left.
    let guarded = vars(&[("guard", json!("report"))]);
    for (profile, vars) in [("baseline", &none), ("strict", &none), ("strict", &guarded)] {
        let once = rendered(&RenderRequest {
            profile,
            vars,
            ..whole
        });
        let twice = rendered(&RenderRequest {
            profile,
            vars,
            existing: Some(&once.text),
            workspace: None,
            starts_with_more: false,
            ..whole
        });
        assert_eq!(once.text, twice.text);
        let back = rendered(&RenderRequest {
            existing: Some(&once.text),
            workspace: None,
            starts_with_more: false,
            ..whole
        });
        assert_eq!(back.text, first.text);
    }
}

#[test]
fn a_whole_unit_from_nothing_needs_what_nobody_can_guess() {
    let system = UnitScope::System;
    let none = vars(&[]);
    let whole = RenderRequest {
        shape: Shape::Full,
        ..request("baseline", &system, &none)
    };
    let missing = fault(&whole);
    assert_eq!(missing.file, "openclaw-gateway.system.service.j2");
    assert_eq!(missing.message, "`user` is undefined");
    assert!(
        missing.line.is_some() && missing.column == Some(9),
        "{missing}"
    );
    let set = vars(&[
        ("user", json!("claw")),
        (
            "exec_start",
            json!("/usr/bin/openclaw gateway --port 18789"),
        ),
    ]);
    let text = rendered(&RenderRequest {
        vars: &set,
        ..whole
    })
    .text;
    for line in [
        "Description=OpenClaw Gateway\n",
        "User=claw\n",
        "WorkingDirectory=~\n",
        "WantedBy=multi-user.target\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let user = user();
    let text = rendered(&RenderRequest {
        vars: &set,
        scope: &user,
        ..whole
    })
    .text;
    assert!(text.contains("WorkingDirectory=%h\n") && text.contains("WantedBy=default.target\n"));
    assert!(!text.contains("User=claw"));
}

#[test]
fn a_host_cannot_write_lines_of_its_own() {
    let (system, none) = (UnitScope::System, vars(&[]));
    let evil = "/home/claw\nExecStart=/bin/evil";
    type Change = for<'a> fn(&mut RenderRequest<'a>, &'a str);
    let changes: [Change; 4] = [
        |request, evil| request.unit = evil,
        |request, evil| request.state_dir = Some(evil),
        |request, evil| request.config_path = Some(evil),
        |request, evil| request.home = Some(evil),
    ];
    for change in changes {
        let mut request = request("strict", &system, &none);
        change(&mut request, evil);
        assert!(fault(&request).message.contains("control character"));
    }
}

#[test]
fn variables_of_the_wrong_kind_are_refused() {
    let system = UnitScope::System;
    for (name, wrong, words) in [
        ("allow_sudo", json!("yes"), "true or false"),
        (
            "restart_delay_s",
            json!("5s"),
            "a whole number from 1 to 3600",
        ),
        ("restart_delay_s", json!(0), "a whole number"),
        ("guard", json!("kill"), "one of off, report, end"),
        ("guard", json!(true), "one of off, report, end"),
        ("writable_paths", json!("/srv"), "a list of absolute paths"),
        ("writable_paths", json!(["srv"]), "absolute paths"),
        ("capabilities", json!("CAP_KILL\nExecStart=x"), "one line"),
        (
            "start_limit_interval_s",
            json!(50),
            "this limit is never reached",
        ),
        ("guard_wait_s", json!(0), "a whole number"),
    ] {
        let set = vars(&[(name, wrong)]);
        let fault = fault(&request("strict", &system, &set));
        assert_eq!(fault.file, format!("vars.{name}"));
        assert!(fault.message.contains(words), "{fault}");
        assert!(fault.hint.is_some(), "{fault}");
    }
    let set = vars(&[("guard", json!("end")), ("guard_wait_s", json!(60))]);
    let late = fault(&request("baseline", &system, &set));
    assert!(late.message.contains("timeout"), "{late}");
    let set = vars(&[("allow_sudo", json!(true)), ("user_namespace", json!(true))]);
    assert!(
        fault(&request("strict", &system, &set))
            .message
            .contains("sudo")
    );
    // What YAML makes of `guard: off`, and what templates of one's own may use.
    let set = vars(&[("guard", json!(false)), ("proxy", json!({"a": [1]}))]);
    assert!(value(&rendered(&request("strict", &system, &set)), "ExecStartPre").is_none());
    let unknown = fault(&request("strikt\n", &system, &set));
    assert_eq!(unknown.to_string(), "profile: `strikt?` is no profile");
    assert_eq!(
        unknown.hint.as_deref(),
        Some("the profiles are baseline, strict")
    );
}

proptest! {
    #[test]
    fn whatever_a_host_says_it_renders_or_refuses(
        path in "[ -~é\n]{0,30}",
        existing in "(\\[Service\\]\n)?([A-Za-z]{0,9}=[ -~]{0,20}\n){0,5}",
        full: bool,
        systemd in 0..300_u32,
    ) {
        let (scope, none) = (UnitScope::System, vars(&[]));
        let request = RenderRequest {
            shape: if full { Shape::Full } else { Shape::DropIn },
            state_dir: Some(&path),
            existing: Some(&existing),
            workspace: None,
            starts_with_more: false,
            systemd: Some(systemd),
            ..request("strict", &scope, &none)
        };
        if let Ok(rendered) = render(&Templates::embedded(), &request) {
            prop_assert_eq!(settings(&rendered.text), rendered.settings);
            prop_assert!(rendered.text.ends_with('\n'));
        }
    }
}
