use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Vec<(String, String, bool)> {
    settings(text)
        .into_iter()
        .map(|s| (format!("{}.{}", s.section, s.key), s.value, s.resets))
        .collect()
}

fn one(key: &str, value: &str) -> (String, String, bool) {
    (key.to_owned(), value.to_owned(), false)
}

#[test]
fn comments_continued_lines_and_unknown_sections() {
    let text = "# c\n; c\nNowhere=1\n[Unit]\n Description = A \\\n# in between\n  B\n\n[Service]\nno assignment\n\
                ExecStart=/bin/x \\\n\n[X-Clawfleet]\nProfile=strict\n[Install]\nX-Mine=1\nWantedBy=a.target\n";
    assert_eq!(
        read(text),
        [
            one("Unit.Description", "A    B"),
            one("Service.ExecStart", "/bin/x"),
            one("Install.WantedBy", "a.target"),
        ]
    );
    assert_eq!(
        read("[Service]\r\nKillMode=mixed\r\n"),
        [one("Service.KillMode", "mixed")]
    );
    assert_eq!(
        read("[Service]\nKillMode=mixed \\"),
        [one("Service.KillMode", "mixed")]
    );
}

#[test]
fn later_lines_win_and_lists_add_up() {
    let text = "[Service]\nKillMode=process\nSuccessExitStatus=0\nKillMode=mixed\nSuccessExitStatus=143 TERM\n\
                Environment=A=1\nEnvironment=B=2\nExecStartPre=a\nExecStartPre=b\n";
    assert_eq!(
        read(text),
        [
            one("Service.KillMode", "mixed"),
            one("Service.SuccessExitStatus", "0 143 TERM"),
            one("Service.Environment", "A=1"),
            one("Service.Environment", "B=2"),
            one("Service.ExecStartPre", "a"),
            one("Service.ExecStartPre", "b"),
        ]
    );
}

#[test]
fn an_empty_line_of_a_list_makes_void_what_is_before_it() {
    let reset = |key: &str, value: &str| (key.to_owned(), value.to_owned(), true);
    assert_eq!(
        read(
            "[Service]\nReadWritePaths=/a\nReadWritePaths=\nReadWritePaths=/b\nReadWritePaths=/c\n"
        ),
        [reset("Service.ReadWritePaths", "/b /c")]
    );
    assert_eq!(
        read("[Service]\nExecStart=a\nNice=1\nExecStart=b\nExecStart=\nExecStart=c\nExecStart=d\n"),
        [
            reset("Service.ExecStart", "c"),
            one("Service.Nice", "1"),
            one("Service.ExecStart", "d"),
        ]
    );
    assert_eq!(
        read("[Service]\nCapabilityBoundingSet=\n"),
        [reset("Service.CapabilityBoundingSet", "")]
    );
    // Of what is no list, an empty line brings the default back.
    assert_eq!(
        read("[Service]\nUMask=0077\nUMask=\n"),
        [one("Service.UMask", "")]
    );
}

#[test]
fn secrets_are_found() {
    for line in [
        "Environment=OPENCLAW_GATEWAY_TOKEN=x",
        "Environment=\"A=b\" \"ANTHROPIC_API_KEY=sk-1 2\"",
        "Environment=A=b 'DB_PASSWORD=x'",
        "Environment=\"broken_token=x",
        "Environment=client_secret=x",
        "ExecStart=/bin/openclaw gateway --token x",
        "ExecStart=/bin/openclaw gateway --password=x",
        "ExecStart=/usr/bin/env API_KEY=x openclaw gateway",
        "ExecStartPre=/bin/sh -c 'TOKEN=x; exec y'",
        "ExecStart=/bin/sh -c \"openclaw gateway --token x\"",
        "SetCredential=a:b",
    ] {
        assert!(
            lines_with_secrets(&format!("[Service]\n{line}\n")),
            "{line}"
        );
    }
    for line in [
        "",
        "Environment=HOME=/home/claw PATH=/bin",
        "Environment=OPENCLAW_GATEWAY_TOKEN=",
        "Environment=TOKEN_FILE=/etc/token",
        "EnvironmentFile=/etc/openclaw/token",
        "ExecStart=/bin/openclaw gateway --port 18789",
        "ExecStart=/bin/openclaw gateway --token-file /x",
        "Description=token=x",
        "# Environment=TOKEN=",
    ] {
        assert!(
            !lines_with_secrets(&format!("[Service]\n{line}\n")),
            "{line}"
        );
    }
}

#[test]
fn secrets_are_found_wherever_they_stand() {
    for text in [
        "#Environment=OPENCLAW_GATEWAY_TOKEN=abc\n",
        "[Service]\n# Environment=\"A=1\" \"DB_PASS=abc\"\n",
        "[Service]\nEnvironment=DATABASE_URL=postgres://u:p@db/x\n",
        "[Service]\nExecStartPre=/usr/bin/curl -H \"Authorization: Bearer x\" http://h\n",
        "[Service]\nEnvironment=GITHUB_PAT=abc\n",
    ] {
        assert!(lines_with_secrets(text), "{text}");
    }
    for text in [
        "# the token is in the configuration\n[Service]\nExecStart=/a --token-file /b\n",
        "[Service]\nEnvironment=HOMEPAGE=https://user@host/x\n",
        "[Unit]\nDocumentation=https://docs.example/a:b@c\n",
        "# KillMode=process is the old one, RestartSec=5\n",
    ] {
        assert!(!lines_with_secrets(text), "{text}");
    }
}

#[test]
fn lines_that_are_none_are_found() {
    for (text, stray) in [
        ("[Service]\nRestart=always\n", None),
        (
            "# a\n; b\n\n[Service]\nExecStart=/bin/a \\\n  b c\n d e\n",
            Some((7, "d e")),
        ),
        (
            "[Service]\nExecStart=/bin/a \\\n# between\n  b c\nNice=1\n",
            None,
        ),
        ("[Service\nRestart=always\n", Some((1, "[Service"))),
        ("Restart=always\n", Some((1, "Restart=always"))),
        ("[Service]\nRestart always\n", Some((2, "Restart always"))),
        ("[Service]\n=always\n", Some((2, "=always"))),
        ("[Service]\nRestart =always\n", None),
        ("[X-Mine]\nA=1\n", None),
        ("", None),
    ] {
        let wanted = stray.map(|(number, line)| (number, line.to_owned()));
        assert_eq!(stray_line(text), wanted, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "([\\[\\]A-Za-z=# \\\\\"'%$;\n-]{0,12}\n?){0,12}") {
        let _ = settings(&text);
        let _ = stray_line(&text);
        let _ = lines_with_secrets(&text);
    }

    /// What is read, written and read again is the same.
    #[test]
    fn settings_survive_writing(
        lines in prop::collection::vec(("(KillMode|ExecStart|After|Environment|Nice)", "[a-z0-9]{0,5}"), 0..12)
    ) {
        let write = |settings: &[UnitSetting]| {
            let mut text = String::from("[Service]\n");
            for setting in settings {
                if setting.resets {
                    text += &format!("{}=\n", setting.key);
                }
                if !(setting.resets && setting.value.is_empty()) {
                    text += &format!("{}={}\n", setting.key, setting.value);
                }
            }
            text
        };
        let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let read = settings(&format!("[Service]\n{text}"));
        prop_assert_eq!(settings(&write(&read)), read);
    }
}
