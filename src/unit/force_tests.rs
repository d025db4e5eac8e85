use super::*;
use crate::unit::settings;
use proptest::prelude::*;

/// What `systemctl show` printed, on systemd 247, 252 and 257 alike, of a unit with the settings below.
/// (The filter of system calls is cut short.)
const SHOWN: &str = "\
Restart=always
RestartUSec=5s
TimeoutStartUSec=30s
TimeoutStopUSec=5min 30s
RuntimeMaxUSec=infinity
RestartPreventExitStatus=75 78 KILL
SuccessExitStatus=0 143 USR1 TERM
OOMPolicy=continue
MemoryMax=2147483648
TasksMax=100
Environment=HOME=/home/claw \"A=b c\" P=%x
UMask=0077
LimitNOFILE=65536
WorkingDirectory=/home/claw
Nice=5
CapabilityBoundingSet=
AmbientCapabilities=
User=claw
ReadWritePaths=-/tmp -/var/tmp \"-/home/claw/a b\" -/home/claw/.openclaw
PrivateTmp=no
PrivateDevices=yes
ProtectClock=yes
ProtectHome=read-only
ProtectSystem=strict
NoNewPrivileges=yes
SystemCallFilter=_llseek accept accept4 access brk read write
SystemCallArchitectures=native
SystemCallErrorNumber=1
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
ProtectProc=invisible
KillMode=mixed
Wants=network-online.target
After=system.slice network-online.target systemd-journald.socket -.mount
Description=T
StartLimitIntervalUSec=5min
StartLimitBurst=10
";

const WRITTEN: &str = "\
[Unit]
Description=T
After=network-online.target
Wants=network-online.target
StartLimitBurst=10
StartLimitIntervalSec=300
[Service]
User=claw
WorkingDirectory=/home/claw
Environment=HOME=/home/claw \"A=b c\"
Environment=P=%%x
Restart=always
RestartSec=5
RestartPreventExitStatus=78
RestartPreventExitStatus=TEMPFAIL SIGKILL
SuccessExitStatus=0 143
SuccessExitStatus=143 SIGUSR1 TERM
KillMode=mixed
TimeoutStartSec=30
TimeoutStopSec=5min 30s
RuntimeMaxSec=infinity
OOMPolicy=continue
NoNewPrivileges=true
UMask=077
LockPersonality=yes
RestrictRealtime=on
RestrictSUIDSGID=1
RestrictNamespaces=yes
RestrictAddressFamilies=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=-/tmp -/var/tmp \"-/home/claw/a b\" -/home/claw/.openclaw
PrivateDevices=yes
ProtectClock=yes
ProtectProc=invisible
PrivateTmp=no
CapabilityBoundingSet=
AmbientCapabilities=
MemoryMax=2G
TasksMax=100
LimitNOFILE=65536
Nice=5
";

fn shown(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn judge(written: &str, now: &str) -> InForce {
    let section = match written.starts_with("StartLimit") {
        true => "Unit",
        false => "Service",
    };
    let read = settings(&format!("[{section}]\n{written}\n"));
    assert_eq!(read.len(), 1, "{written}");
    in_force(&read[0], &shown(now))
}

#[test]
fn what_is_in_force_is() {
    let shown = shown(SHOWN);
    for setting in settings(WRITTEN) {
        assert_eq!(in_force(&setting, &shown), InForce::Yes, "{setting:?}");
    }
    let mut names = shown_names(&settings(WRITTEN));
    names.retain(|name| !shown.contains_key(name));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn what_is_not_in_force_says_what_is() {
    for (written, now, then) in [
        ("KillMode=mixed", "KillMode=process", "mixed"),
        ("RestartSec=10", "RestartUSec=5s", "10s"),
        ("RestartSec=1500ms", "RestartUSec=100ms", "1s 500ms"),
        ("TimeoutStopSec=330", "TimeoutStopUSec=1min 30s", "5min 30s"),
        ("TimeoutStopSec=0", "TimeoutStopUSec=30s", "infinity"),
        (
            "StartLimitIntervalSec=300",
            "StartLimitIntervalUSec=10s",
            "5min",
        ),
        ("StartLimitBurst=10", "StartLimitBurst=5", "10"),
        ("StartLimitBurst=1", "StartLimitBurst=0", "1"),
        ("NoNewPrivileges=yes", "NoNewPrivileges=no", "yes"),
        ("PrivateTmp=no", "PrivateTmp=yes", "no"),
        ("ProtectSystem=strict", "ProtectSystem=no", "strict"),
        ("ProtectHome=read-only", "ProtectHome=yes", "read-only"),
        ("UMask=0077", "UMask=0022", "0077"),
        (
            "RestartPreventExitStatus=78",
            "RestartPreventExitStatus=",
            "78",
        ),
        (
            "SuccessExitStatus=0 143",
            "SuccessExitStatus=0 1 SIGTERM",
            "0 143",
        ),
        (
            "CapabilityBoundingSet=",
            "CapabilityBoundingSet=cap_kill",
            "",
        ),
        (
            "CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_KILL",
            "CapabilityBoundingSet=cap_chown cap_kill",
            "cap_kill",
        ),
        ("RestrictNamespaces=yes", "RestrictNamespaces=no", "yes"),
        (
            "RestrictNamespaces=yes",
            "RestrictNamespaces=ipc net",
            "yes",
        ),
        ("RestrictNamespaces=no", "RestrictNamespaces=yes", "no"),
        (
            "RestrictAddressFamilies=AF_UNIX",
            "RestrictAddressFamilies=",
            "AF_UNIX",
        ),
        (
            "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX",
            "RestrictAddressFamilies=~AF_PACKET",
            "AF_UNIX",
        ),
        (
            "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX",
            "RestrictAddressFamilies=AF_PACKET AF_UNIX",
            "AF_UNIX",
        ),
        (
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~",
            "@system-service",
        ),
        (
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~mount",
            "@system-service",
        ),
        (
            "SystemCallErrorNumber=EPERM",
            "SystemCallErrorNumber=2147483646",
            "EPERM",
        ),
        ("ReadWritePaths=-/a -/b", "ReadWritePaths=-/a", "-/a -/b"),
        ("MemoryMax=2G", "MemoryMax=infinity", "2G"),
        ("ProtectProc=invisible", "ProtectProc=default", "invisible"),
        ("WorkingDirectory=/a", "WorkingDirectory=/b", "/a"),
    ] {
        let wanted = InForce::No {
            now: now.split_once('=').unwrap().1.replace("2147483646", "kill"),
            then: then.to_owned(),
        };
        assert_eq!(judge(written, now), wanted, "{written}");
    }
}

#[test]
fn lists_are_sets() {
    for (written, now) in [
        ("ReadWritePaths=-/b -/a -/b", "ReadWritePaths=-/a -/c -/b"),
        ("SuccessExitStatus=143 0", "SuccessExitStatus=0 143"),
        (
            "RestartPreventExitStatus=CONFIG",
            "RestartPreventExitStatus=78",
        ),
        ("RestrictNamespaces=net ipc", "RestrictNamespaces=ipc net"),
        (
            "RestrictAddressFamilies=~AF_PACKET",
            "RestrictAddressFamilies=~AF_PACKET",
        ),
        (
            "CapabilityBoundingSet=CAP_KILL",
            "CapabilityBoundingSet=cap_chown cap_kill",
        ),
        ("ReadWritePaths=/100%%", "ReadWritePaths=/100%"),
        ("SystemCallFilter=", "SystemCallFilter=~"),
        ("TimeoutStopSec=infinity", "TimeoutStopUSec=infinity"),
        ("TimeoutSec=30", "TimeoutStartUSec=30s\nTimeoutStopUSec=30s"),
        ("TimeoutStartSec=0", "TimeoutStartUSec=infinity"),
    ] {
        assert_eq!(judge(written, now), InForce::Yes, "{written}");
    }
}

#[test]
fn what_cannot_be_told_is_not_said() {
    for (written, now) in [
        // This systemd has no such property.
        ("ProtectProc=invisible", "KillMode=mixed"),
        (
            "ExecStart=/bin/a",
            "ExecStart={ path=/bin/a ; argv[]=/bin/a }",
        ),
        (
            "SystemCallFilter=@system-service",
            "SystemCallFilter=read write accept",
        ),
        (
            "CapabilityBoundingSet=~CAP_SYS_ADMIN",
            "CapabilityBoundingSet=cap_kill",
        ),
        ("ReadWritePaths=%h/x", "ReadWritePaths=/home/claw/x"),
        ("Environment=HOME=%h", "Environment=HOME=/home/claw"),
        (
            "EnvironmentFile=/a",
            "EnvironmentFiles=/a (ignore_errors=no)",
        ),
        ("KillSignal=SIGTERM", "KillSignal=15"),
        ("UMask=", "UMask=0022"),
        ("RestartSec=soon", "RestartUSec=5s"),
        ("MemoryMax=20%", "MemoryMax=2147483648"),
        ("CPUQuota=20%", "CPUQuotaPerSecUSec=200ms"),
        ("SystemCallErrorNumber=EXDEV", "SystemCallErrorNumber=18"),
    ] {
        assert_eq!(judge(written, now), InForce::Unknown, "{written}");
    }
    let install = settings("[Install]\nWantedBy=a.target\n");
    assert_eq!(
        in_force(&install[0], &shown("WantedBy=a.target")),
        InForce::Unknown
    );
    assert!(shown_names(&install).is_empty());
}

#[test]
fn no_variable_is_shown() {
    let judged = judge("Environment=TOKEN=a", "Environment=TOKEN=b");
    let InForce::No { now, then } = judged else {
        panic!("{judged:?}");
    };
    assert!(!now.contains("TOKEN") && !then.contains("TOKEN"));
}

#[test]
fn property_names() {
    let text = "[Unit]\nStartLimitIntervalSec=1\nStartLimitBurst=1\n[Service]\nRestartSec=1\n\
                TimeoutStopSec=1\nTimeoutSec=1\nKillMode=mixed\nTimerSlackNSec=1\nRestartSec=2\n\
                [Install]\nWantedBy=a\n";
    assert_eq!(
        shown_names(&settings(text)),
        [
            "KillMode",
            "RestartUSec",
            "StartLimitBurst",
            "StartLimitIntervalUSec",
            "TimeoutStartUSec",
            "TimeoutStopUSec",
            "TimerSlackNSec",
        ]
    );
}

#[test]
fn what_needs_a_restart() {
    for key in [
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "SuccessExitStatus",
        "KillMode",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "TimeoutSec",
        "StartLimitBurst",
        "StartLimitIntervalSec",
        "OOMPolicy",
        "WantedBy",
        "Description",
    ] {
        assert!(!needs_restart(key), "{key}");
    }
    for key in [
        "NoNewPrivileges",
        "ProtectSystem",
        "Environment",
        "ExecStart",
        "ExecStartPre",
        "User",
        "UMask",
        "MemoryMax",
        "RuntimeMaxSec",
        "Type",
        "Whatever",
    ] {
        assert!(needs_restart(key), "{key}");
    }
}

proptest! {
    /// A span as `show` prints it is the span that was written.
    #[test]
    fn spans_come_back(span in 0..u64::MAX / 2) {
        prop_assert_eq!(micros(&shown_span(span)), Some(span));
        let now = format!("RestartUSec={}", shown_span(span));
        prop_assert_eq!(judge(&format!("RestartSec={span}us"), &now), InForce::Yes);
    }

    #[test]
    fn nothing_panics(
        key in "[A-Z][A-Za-z]{0,14}",
        value in "[ -~é]{0,20}",
        now in "[ -~é]{0,20}",
    ) {
        for key in [key.as_str(), "TimeoutSec", "UMask", "MemoryMax", "SystemCallFilter", "After"] {
            let setting = UnitSetting {
                section: "Service".into(),
                key: key.into(),
                value: value.clone(),
                resets: false,
            };
            let shown = properties(key).into_iter().map(|name| (name, now.clone())).collect();
            let _ = in_force(&setting, &shown);
            let _ = needs_restart(key);
        }
    }
}
