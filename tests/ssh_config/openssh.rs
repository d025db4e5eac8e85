//! The corpus, asked of ssh and of us.

use std::collections::BTreeMap;
use std::fs;
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use clawfleet::model::{Route, SshFiles, SshOption, SshRequest};
use clawfleet::ssh_config::{
    Bastion, Effective, Family, KEYWORDS, SshConfig, SshConfigError, Standing, World, assemble,
};

/// What the environment has, for ssh and for us.
pub(crate) const ENVIRONMENT: [(&str, &str); 6] = [
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C"),
    ("CLAW_KEYS", "/srv/keys"),
    ("CLAW_SOCK", "/run/agent.sock"),
    ("CLAW_EMPTY", ""),
    ("SHELL", "/bin/sh"),
];

/// How many values the corpus compares; a corpus that shrinks is noticed.
const KNOWN_COMPARISONS: usize = 10_400;
const KNOWN_CASES: usize = 470;

/// The real world, with a small environment.
pub(crate) struct Here;

impl World for Here {
    fn read(&self, path: &Path, check_owner: bool) -> Result<Option<String>, String> {
        let Ok(metadata) = fs::metadata(path) else {
            return Ok(None);
        };
        let own = metadata.uid() == 0 || metadata.uid() == bastion().uid;
        if check_owner && (!own || metadata.mode() & 0o022 != 0) {
            return Err("bad owner or permissions".to_owned());
        }
        fs::read_to_string(path)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let script = format!(
            "shopt -s nullglob; for f in {pattern}; do [ -e \"$f\" ] && printf '%s\\n' \"$f\"; done"
        );
        lines("bash", &["-c", &script])
            .into_iter()
            .map(PathBuf::from)
            .collect()
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map(|status| status.success())
            .map_err(|error| error.to_string())
    }

    fn env(&self, name: &str) -> Option<String> {
        let found = ENVIRONMENT.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn env_all(&self) -> Vec<(String, String)> {
        ENVIRONMENT
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn resolve(&self, name: &str) -> bool {
        (name, 22).to_socket_addrs().is_ok()
    }

    fn home_of(&self, user: &str) -> Option<PathBuf> {
        let line = lines("getent", &["passwd", user]).into_iter().next()?;
        line.split(':').nth(5).map(PathBuf::from)
    }
}

/// Runs a program; its output by lines.
pub(crate) fn lines(program: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

pub(crate) fn bastion() -> &'static Bastion {
    static BASTION: LazyLock<Bastion> = LazyLock::new(|| {
        let user = lines("id", &["-un"]).remove(0);
        Bastion {
            uid: lines("id", &["-u"])[0].parse().unwrap(),
            home: Here.home_of(&user).unwrap(),
            host_name: lines("uname", &["-n"]).remove(0),
            user,
        }
    });
    &BASTION
}

/// What ssh says: `keyword value` lines, or its complaints.
pub(crate) fn ssh(arguments: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new("ssh")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &bastion().home)
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .output()
        .expect("ssh is needed: install openssh-client");
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Values by keyword, those of a list in their order.
type Values = BTreeMap<String, Vec<String>>;

fn values(lines: &[String]) -> Values {
    let mut found = Values::new();
    for line in lines {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        // Debian's word for QUIET.
        let value = if value == "SILENT" { "QUIET" } else { value };
        found
            .entry(keyword.to_lowercase())
            .or_default()
            .push(value.to_owned());
    }
    found
}

/// A default list, and all that there is.
type Lists = (Vec<String>, Vec<String>);

/// OpenSSH's own lists, by our spelling of the keyword: those of nobody's configuration, and all.
fn lists(keyword: &str) -> &'static Lists {
    static LISTS: LazyLock<BTreeMap<&str, Lists>> = LazyLock::new(|| {
        let unset = values(&ssh(&["-G", "-F", "none", "x"]).unwrap());
        let of = |keyword: &'static str| {
            let default = unset[&keyword.to_lowercase()][0]
                .split(',')
                .map(str::to_owned)
                .collect();
            (keyword, (default, lines("ssh", &["-Q", keyword])))
        };
        [
            "KexAlgorithms",
            "Ciphers",
            "MACs",
            "HostKeyAlgorithms",
            "PubkeyAcceptedAlgorithms",
        ]
        .map(of)
        .into()
    });
    &LISTS[keyword]
}

/// Our values in the spelling of `ssh -G`.
fn ours(effective: &Effective) -> Values {
    let mut lines = Vec::new();
    for entry in effective.entries() {
        let written = entry.written.clone().unwrap_or_else(|| entry.value.clone());
        let value = match entry.keyword {
            // We try ed25519 first; `rules.rs` looks at the order.
            "IdentityFile" if entry.origin.to_string() == "built in" => continue,
            "IdentityFile"
            | "CertificateFile"
            | "GlobalKnownHostsFile"
            | "RevokedHostKeys"
            | "ProxyCommand" => written,
            "StrictHostKeyChecking" | "PubkeyAuthentication" | "CanonicalizeHostname" => {
                entry.value.replace("yes", "true").replace("no", "false")
            }
            keyword if Family::of(keyword).is_some() => {
                let (default, all) = lists(keyword);
                let default: Vec<&str> = default.iter().map(String::as_str).collect();
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                assemble(&written, &default, &all).unwrap().join(",")
            }
            _ => entry.value,
        };
        lines.push(format!("{} {value}", entry.keyword));
    }
    values(&lines)
}

/// What ssh says of the keywords that we support.
fn theirs(lines: &[String], named: bool) -> Values {
    let mut found = values(lines);
    found.retain(|keyword, _| {
        KEYWORDS.iter().any(|row| {
            row.standing == Standing::Supported && row.name.eq_ignore_ascii_case(keyword)
        })
    });
    found.remove("host");
    if !named {
        found.remove("identityfile");
    }
    found
}

/// Resolves a name by one file.
pub(crate) fn resolve(file: &Path, name: &str) -> Result<Effective, SshConfigError> {
    resolve_with(file, name, &[])
}

/// Keywords with values, as `-o` takes them.
type Given<'a> = &'a [(&'a str, &'a str)];

fn resolve_with(file: &Path, name: &str, given: Given<'_>) -> Result<Effective, SshConfigError> {
    let request = SshRequest {
        files: SshFiles::Only(file.to_owned()),
        match_exec: true,
        options: given
            .iter()
            .map(|(keyword, value)| SshOption {
                keyword: (*keyword).to_owned(),
                value: (*value).to_owned(),
                origin: "the test".to_owned(),
            })
            .collect(),
        ..SshRequest::default()
    };
    SshConfig::load(&request.files, bastion(), &Here)?.resolve(name, &request, bastion(), &Here)
}

/// Compares one name; returns how many values were the same.
pub(crate) fn compare(file: &Path, name: &str) -> Result<usize, String> {
    compare_with(file, name, &[])
}

fn compare_with(file: &Path, name: &str, given: Given<'_>) -> Result<usize, String> {
    let text = fs::read_to_string(file).unwrap();
    let given_words: Vec<String> = given
        .iter()
        .map(|(keyword, value)| format!("-o{keyword}={value}"))
        .collect();
    let mut arguments = vec!["-G", "-F", file.to_str().unwrap()];
    arguments.extend(given_words.iter().map(String::as_str));
    arguments.push(name);
    let said = ssh(&arguments);
    let found = resolve_with(file, name, given);
    match (said, found) {
        (Ok(said), Ok(found)) => {
            let theirs = theirs(&said, found.settings().identities.named);
            let ours = ours(&found);
            for keyword in theirs.keys().chain(ours.keys()) {
                if theirs.get(keyword) != ours.get(keyword) {
                    return Err(format!(
                        "{name}, {keyword}: ssh {:?}, we {:?}\n{text}",
                        theirs.get(keyword),
                        ours.get(keyword)
                    ));
                }
            }
            Ok(theirs.values().map(Vec::len).sum())
        }
        (Err(said), Err(error)) => {
            // ssh names every wrong line; ours is one of them. What it finds after reading has no line.
            let line = error.line.unwrap_or(0);
            let places = [
                format!("line {line}:"),
                format!("line: {line}:"),
                format!("line {line} "),
            ];
            let placed = said.contains(" line ") || said.contains(": line ");
            if placed && !places.iter().any(|place| said.contains(place)) {
                return Err(format!("{name}: we say {error}, ssh says {said}\n{text}"));
            }
            Ok(1)
        }
        (Err(said), Ok(_)) => Err(format!("{name}: only ssh refuses: {said}\n{text}")),
        (Ok(_), Err(error)) => Err(format!("{name}: only we refuse: {error}\n{text}")),
    }
}

/// The corpus, copied to where its files may include each other.
pub(crate) fn corpus(place: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let fixtures = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ssh_config"
    ));
    let mut found = Vec::new();
    copy(fixtures, place, place, &mut found);
    found.sort();
    found
}

fn copy(from: &Path, to: &Path, top: &Path, found: &mut Vec<(PathBuf, Vec<String>)>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, top, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("@DIR@", top.to_str().unwrap());
        fs::write(&target, &text).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        let first = text.lines().next().unwrap_or_default();
        if let Some(hosts) = first.strip_prefix("#hosts ") {
            let hosts = hosts.split_whitespace().map(str::to_owned).collect();
            found.push((target, hosts));
        }
    }
}

#[test]
fn every_value_is_what_ssh_says() {
    let place = tempfile::tempdir().unwrap();
    let (mut cases, mut comparisons, mut wrong) = (0, 0, Vec::new());
    let corpus = corpus(place.path());
    for (file, hosts) in &corpus {
        for host in hosts {
            cases += 1;
            match compare(file, host) {
                Ok(count) => comparisons += count,
                Err(difference) => wrong.push(format!("{}: {difference}", file.display())),
            }
        }
    }
    eprintln!(
        "ssh_config: {} files, {cases} questions, {comparisons} values compared with ssh -G",
        corpus.len()
    );
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(cases >= KNOWN_CASES, "{cases}");
    assert!(comparisons >= KNOWN_COMPARISONS, "{comparisons}");
}

#[test]
fn what_the_inventory_says_is_what_ssh_is_told_by_its_options() {
    let given: [Given<'_>; 16] = [
        &[("User", "given")],
        &[("port", "77"), ("Port", "78")],
        &[("HostName", "%h.given")],
        &[("ProxyJump", "none")],
        &[("ProxyCommand", "none")],
        &[("ProxyCommand", "nc -x %h %p"), ("ProxyJump", "gw")],
        &[("ProxyJump", "g@given1:2201,given2")],
        &[("UserKnownHostsFile", "/a \"/b c\"")],
        &[
            ("Ciphers", "+aes128-cbc"),
            ("HostKeyAlgorithms", "^ssh-ed25519"),
        ],
        &[("SendEnv", "GIVEN -LC_*"), ("SetEnv", "Z=1 \"Y=x y\"")],
        &[
            ("CanonicalizeHostname", "yes"),
            ("CanonicalDomains", "invalid"),
        ],
        &[("IgnoreUnknown", "Frob*,UseKeychain"), ("Frobnicate", "x")],
        &[("ConnectTimeout", "none"), ("RekeyLimit", "1G 1h")],
        &[
            ("StrictHostKeyChecking", "accept-new"),
            ("IdentityAgent", "none"),
        ],
        &[("Port", "zero")],
        &[("Unheard", "of")],
    ];
    let place = tempfile::tempdir().unwrap();
    corpus(place.path());
    let mut compared = 0;
    for file in [
        "fleet-bastion",
        "fleet-canonical",
        "match-user",
        "match-final",
        "known-hosts-first",
        "sendenv",
        "ignore-unknown-late",
        "strict",
    ] {
        let file = place.path().join(file).with_extension("conf");
        for given in given {
            for name in ["vm151", "me@b"] {
                let same = compare_with(&file, name, given);
                compared += same.unwrap_or_else(|difference| panic!("{given:?} {difference}"));
            }
        }
    }
    eprintln!("ssh_config: {compared} values compared with ssh -G -o");
    assert!(compared >= 6_000, "{compared}");
}

#[test]
fn tokens_are_filled_in_as_ssh_does() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config");
    let text = "Host a*\n  HostName 10.9.%h\n  HostKeyAlias Web\nHost *\n  User deploy\n  Port 2222\n  ProxyCommand false %h %n %p %r %k %%\n\
        IdentityFile ~/k/%h/%n/%r/%p\nIdentityFile %d/%u/%i/%%\nIdentityFile /k/%l.%L.%C\nIdentityFile /k/%k\n\
        IdentityFile ${CLAW_KEYS}/%n\nIdentityFile none\nIdentityFile ~root/x\nIdentityFile relative\n\
        CertificateFile ~/c/%n-cert.pub\nCertificateFile ${CLAW_KEYS}/%C-cert.pub\n";
    fs::write(&file, text).unwrap();
    let mut compared = 0;
    for host in ["a1", "Web", "web.example.org", "::1", "127.1"] {
        let output = Command::new("ssh")
            .args(["-v", "-F", file.to_str().unwrap(), host])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .output()
            .expect("ssh is needed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let files = |start: &str| -> Vec<String> {
            said.lines()
                .filter_map(|line| line.trim_end().strip_prefix(start)?.split(" type ").next())
                .map(str::to_owned)
                .collect()
        };
        let found = resolve(&file, host).unwrap();
        let ours = |files: &[PathBuf]| -> Vec<String> {
            files
                .iter()
                .map(|file| file.display().to_string())
                .collect()
        };
        let identities = &found.settings().identities;
        assert_eq!(
            files("debug1: identity file "),
            ours(&identities.files),
            "{said}"
        );
        assert_eq!(
            files("debug1: certificate file "),
            ours(&identities.certificates),
            "{said}"
        );
        let Route::Command { line, .. } = &found.settings().route else {
            panic!("{:?}", found.settings().route);
        };
        let run = said.lines().find_map(|line| {
            line.trim_end()
                .strip_prefix("debug1: Executing proxy command: exec ")
        });
        assert_eq!(run, Some(line.as_str()), "{said}");
        compared += identities.files.len() + identities.certificates.len();
    }
    assert_eq!(compared, 45);
}
