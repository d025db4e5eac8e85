//! What `ssh -G` cannot tell: the inventory's part, jumps, names made full, files that are many or large.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clawfleet::model::{
    AddressFamily, Agent, AuthMethod, Route, SshFiles, SshOption, SshRequest, SshSettings,
    UnknownKey, matches_pattern,
};
use clawfleet::ssh_config::{Bastion, Effective, Origin, SshConfig, SshConfigError, World};

/// A world of a few files.
#[derive(Default)]
struct Files {
    files: BTreeMap<PathBuf, String>,
    /// Names that the resolver knows.
    names: Vec<&'static str>,
}

impl World for Files {
    fn read(&self, path: &Path, check_owner: bool) -> Result<Option<String>, String> {
        if check_owner && path.ends_with("open-to-all") {
            return Err("bad owner or permissions".to_owned());
        }
        Ok(self.files.get(path).cloned())
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let fits = |path: &&PathBuf| matches_pattern(pattern, path.to_str().unwrap());
        self.files.keys().filter(fits).cloned().collect()
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        Ok(command == "yes")
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env_all()
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    fn env_all(&self) -> Vec<(String, String)> {
        [("LANG", "C"), ("LC_TIME", "de"), ("SOCK", "/s")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn resolve(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn home_of(&self, user: &str) -> Option<PathBuf> {
        Some(PathBuf::from("/home").join(user))
    }
}

fn world(files: &[(&str, &str)]) -> Files {
    let files = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
    Files {
        files: files.collect(),
        names: Vec::new(),
    }
}

/// A world with a user's file and nothing else.
fn user(text: &str) -> Files {
    world(&[("/home/op/.ssh/config", text)])
}

fn bastion() -> Bastion {
    Bastion {
        user: "op".to_owned(),
        uid: 1000,
        home: PathBuf::from("/home/op"),
        host_name: "hub.example.org".to_owned(),
    }
}

fn options(options: &[(&str, &str)]) -> SshRequest {
    let options = options
        .iter()
        .enumerate()
        .map(|(index, (keyword, value))| SshOption {
            keyword: (*keyword).to_owned(),
            value: (*value).to_owned(),
            origin: format!("host a, line {index}"),
        });
    SshRequest {
        options: options.collect(),
        ..SshRequest::default()
    }
}

fn ask(world: &Files, name: &str, request: &SshRequest) -> Result<Effective, SshConfigError> {
    SshConfig::load(&request.files, &bastion(), world)?.resolve(name, request, &bastion(), world)
}

fn settings(world: &Files, name: &str) -> SshSettings {
    ask(world, name, &SshRequest::default())
        .unwrap()
        .settings()
        .as_ref()
        .clone()
}

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn without_a_file_everything_is_built_in() {
    let found = settings(&Files::default(), "Web1");
    let mut wanted = SshSettings::plain("Web1", "web1", 22, "op");
    wanted.host_keys.user_files = ["/home/op/.ssh/known_hosts", "/home/op/.ssh/known_hosts2"]
        .map(PathBuf::from)
        .into();
    wanted.host_keys.global_files = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
        .map(PathBuf::from)
        .into();
    wanted.identities.files = [
        "id_ed25519",
        "id_ed25519_sk",
        "id_ecdsa",
        "id_ecdsa_sk",
        "id_rsa",
    ]
    .map(|name| PathBuf::from("/home/op/.ssh").join(name))
    .into();
    assert_eq!(found, wanted);
}

#[test]
fn the_inventory_wins_over_the_users_file_and_that_over_the_systems() {
    let world = world(&[
        (
            "/home/op/.ssh/config",
            "Port 2201\nUser file\nIdentityFile ~/one\nIdentityFile /both\nUserKnownHostsFile /k1\n",
        ),
        (
            "/etc/ssh/ssh_config",
            "Port 2202\nUser system\nCompression yes\nIdentityFile /both\nIdentityFile /two\n",
        ),
    ]);
    let request = options(&[
        ("User", "inventory"),
        ("StrictHostKeyChecking", "accept-new"),
    ]);
    let found = ask(&world, "a", &request).unwrap();
    let settings = found.settings();
    assert_eq!(
        (settings.user.as_str(), settings.port, settings.compression),
        ("inventory", 2201, true)
    );
    assert_eq!(settings.host_keys.unknown, UnknownKey::Accept);
    assert_eq!(
        paths(&settings.identities.files),
        ["/home/op/one", "/both", "/both", "/two"]
    );
    let origin = |keyword: &str| {
        let entries = found.entries();
        entries
            .iter()
            .find(|entry| entry.keyword == keyword)
            .unwrap()
            .origin
            .to_string()
    };
    assert_eq!(origin("User"), "host a, line 0");
    assert_eq!(origin("Port"), "/home/op/.ssh/config:1");
    assert_eq!(origin("Compression"), "/etc/ssh/ssh_config:3");
    assert_eq!(origin("CheckHostIP"), "built in");
    let request = SshRequest {
        files: SshFiles::Only("/etc/ssh/ssh_config".into()),
        ..SshRequest::default()
    };
    assert_eq!(ask(&world, "a", &request).unwrap().settings().port, 2202);
    let request = SshRequest {
        files: SshFiles::None,
        ..SshRequest::default()
    };
    assert_eq!(ask(&world, "a", &request).unwrap().settings().port, 22);
}

#[test]
fn keys_of_the_inventory_are_instead_of_those_of_the_files() {
    let world = user(
        "IdentityFile /file\nCertificateFile /file-cert.pub\nUserKnownHostsFile /kh\nProxyJump gw\nHost gw\nProxyJump none\n",
    );
    let request = options(&[
        ("IdentityFile", "~/claw/%n"),
        ("identityfile", "\"/second key\""),
        ("UserKnownHostsFile", "/own"),
        ("ProxyCommand", "none"),
    ]);
    let found = ask(&world, "a", &request).unwrap();
    let settings = found.settings();
    assert_eq!(
        paths(&settings.identities.files),
        ["/home/op/claw/a", "/second key"]
    );
    assert_eq!(paths(&settings.identities.certificates), ["/file-cert.pub"]);
    assert_eq!(paths(&settings.host_keys.user_files), ["/own"]);
    assert_eq!(settings.route, Route::Direct);
    let entry = found
        .entries()
        .into_iter()
        .find(|entry| entry.keyword == "IdentityFile")
        .unwrap();
    assert_eq!(
        (entry.value.as_str(), entry.written.as_deref()),
        ("/home/op/claw/a", Some("~/claw/%n"))
    );
    assert_eq!(entry.origin, Origin::Inventory("host a, line 0".to_owned()));
}

#[test]
fn wrong_options_of_the_inventory_name_their_place() {
    for (keyword, value, message) in [
        ("Port", "x", "Port: bad port"),
        ("Prot", "22", "unknown keyword `prot`"),
        ("Host", "x", "`host` belongs into OpenSSH's files"),
        ("BindInterface", "eth0", "is not supported"),
        ("User", "", "no argument"),
    ] {
        let error = ask(&Files::default(), "a", &options(&[(keyword, value)])).unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("host a, line 0", None));
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn a_request_may_name_another_host() {
    let world = user("Host alias\nHostName real\nPort 7\n");
    let request = SshRequest {
        host: Some("u@alias".to_owned()),
        ..SshRequest::default()
    };
    let found = ask(&world, "VM1", &request).unwrap();
    let settings = found.settings();
    assert_eq!(
        (settings.name.as_str(), settings.host_name.as_str()),
        ("alias", "real")
    );
    assert_eq!((settings.user.as_str(), settings.port), ("u", 7));
}

fn chain(found: &SshSettings) -> Vec<String> {
    let said = |hop: &SshSettings| format!("{}@{}:{}", hop.user, hop.host_name, hop.port);
    found.jumps().into_iter().map(said).collect()
}

#[test]
fn each_jump_is_looked_up_itself() {
    let world = user(
        "Host inner*\n ProxyJump u@one:2201,two\n\
         Host one\n HostName 10.0.0.1\n Port 9\n ProxyJump outer\n\
         Host two\n User second\n ProxyJump never\n\
         Host outer\n ProxyCommand nc %h %p\n\
         Host *\n IdentityFile /k/%h\n",
    );
    let found = settings(&world, "inner1");
    assert_eq!(
        chain(&found),
        ["op@outer:22", "u@10.0.0.1:2201", "second@two:22"]
    );
    let first = found.jumps()[0].clone();
    let line = Route::Command {
        line: "nc outer 22".to_owned(),
        template: "nc %h %p".to_owned(),
    };
    assert_eq!(first.route, line);
    assert_eq!(paths(&found.jumps()[1].identities.files), ["/k/10.0.0.1"]);
    // What the inventory says of a host is not said of its jumps, but for the way.
    let request = options(&[("ProxyJump", "x@outer:7"), ("Port", "99"), ("User", "me")]);
    let found = ask(&world, "inner1", &request).unwrap();
    assert_eq!(chain(found.settings()), ["x@outer:7"]);
    assert_eq!(found.settings().port, 99);
}

#[test]
fn endless_and_long_chains_are_refused() {
    let mut text = String::new();
    for hop in 0..30 {
        writeln!(text, "Host h{hop}\nProxyJump h{}", hop + 1).unwrap();
    }
    let error = ask(&user(&text), "h0", &SshRequest::default()).unwrap_err();
    assert!(error.message.contains("more than 16 jumps"), "{error}");
    assert_eq!(chain(&settings(&user(&text), "h20")).len(), 10);
    let error = ask(
        &user("Host a\nProxyJump b\nHost b\nProxyJump a\n"),
        "a",
        &SshRequest::default(),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "/home/op/.ssh/config:4: jump loop via a");
}

#[test]
fn match_exec_is_off_until_it_is_allowed() {
    let world =
        user("User x\nMatch host b exec \"no\"\n Port 1\nMatch host a exec \"yes\"\n Port 2\n");
    assert_eq!(settings(&world, "c").port, 22);
    let error = ask(&world, "a", &SshRequest::default()).unwrap_err();
    assert_eq!(error.line, Some(4));
    assert!(error.message.contains("`yes`"), "{error}");
    assert!(error.hint.unwrap().contains("ssh: {match_exec: true}"));
    let request = SshRequest {
        match_exec: true,
        ..SshRequest::default()
    };
    assert_eq!(ask(&world, "a", &request).unwrap().settings().port, 2);
    assert_eq!(ask(&world, "b", &request).unwrap().settings().port, 22);
}

#[test]
fn a_command_in_a_file_that_does_not_apply_is_not_run() {
    let world = world(&[
        ("/home/op/.ssh/config", "Host b\n Include more\n"),
        ("/home/op/.ssh/more", "Match exec \"yes\"\n Port 1\n"),
    ]);
    assert_eq!(settings(&world, "a").port, 22);
    assert!(ask(&world, "b", &SshRequest::default()).is_err());
}

#[test]
fn names_are_made_full_by_the_resolver() {
    let mut world = user(
        "CanonicalizeHostname yes\nCanonicalDomains one.org two.org\nHost web.two.org\n User full\n\
         Match canonical host db.*\n Port 5\n",
    );
    world.names = vec!["web.two.org.", "db.one.org.", "abs.x."];
    let found = settings(&world, "WEB");
    assert_eq!(
        (
            found.host_name.as_str(),
            found.user.as_str(),
            found.name.as_str()
        ),
        ("web.two.org", "full", "WEB")
    );
    assert_eq!(settings(&world, "db").port, 5);
    assert_eq!(settings(&world, "abs.x.").host_name, "abs.x");
    assert_eq!(settings(&world, "other").host_name, "other");
    assert_eq!(settings(&world, "a.b.c").host_name, "a.b.c");
    world.files =
        user("CanonicalizeHostname yes\nCanonicalizeFallbackLocal no\nCanonicalDomains one.org\n")
            .files;
    let error = ask(&world, "other", &SshRequest::default()).unwrap_err();
    assert_eq!(
        (error.line, error.message.contains("`other`")),
        (Some(2), true)
    );
}

#[test]
fn values_become_settings() {
    let world = user(
        "AddressFamily inet6\nBindAddress ::1\nConnectTimeout 1m\nConnectionAttempts 2\nServerAliveInterval 5\n\
         ServerAliveCountMax 7\nCompression yes\nRekeyLimit 1G 1h\nRequiredRSASize 3072\nHostKeyAlias AL\nHashKnownHosts yes\n\
         CheckHostIP yes\nRevokedHostKeys ~/revoked\nIdentitiesOnly yes\nIdentityAgent $SOCK\nIdentityFile none\n\
         PreferredAuthentications password,gssapi-with-mic,publickey,password\nSetEnv LANG=x A=1\nSendEnv LANG LC_*\n\
         Ciphers aes256-ctr,3des-cbc\nHostKeyAlgorithms -ecdsa*\nKexAlgorithms +diffie-hellman-group14-sha1\n",
    );
    let found = settings(&world, "a");
    assert_eq!(
        (found.family, found.bind_address.as_deref()),
        (AddressFamily::Inet6, Some("::1"))
    );
    assert_eq!(
        (found.connect_timeout, found.attempts),
        (Some(Duration::from_secs(60)), 2)
    );
    assert_eq!(
        (found.alive_interval, found.alive_count),
        (Some(Duration::from_secs(5)), 7)
    );
    assert_eq!(
        (found.rekey.bytes, found.rekey.time),
        (Some(1 << 30), Some(Duration::from_secs(3600)))
    );
    assert_eq!((found.min_rsa_bits, found.compression), (3072, true));
    let policy = &found.host_keys;
    assert_eq!(
        (policy.alias.as_deref(), policy.hash, policy.check_ip),
        (Some("al"), true, true)
    );
    assert_eq!(
        policy.revoked.as_deref(),
        Some(Path::new("/home/op/revoked"))
    );
    assert!(found.identities.only && found.identities.named && found.identities.files.is_empty());
    assert_eq!(found.identities.agent, Agent::At("/s".into()));
    assert_eq!(found.methods, [AuthMethod::Password, AuthMethod::PublicKey]);
    let environment: Vec<String> = found
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(environment, ["LC_TIME=de", "LANG=x", "A=1"]);
    assert_eq!(found.algorithms.ciphers, ["aes256-ctr"]);
    assert!(found.algorithms.macs.is_empty() && !found.algorithms.host_keys_ordered);
    assert!(
        !found
            .algorithms
            .host_keys
            .iter()
            .any(|name| name.starts_with("ecdsa"))
    );
    assert_eq!(
        found.algorithms.kex.last().map(String::as_str),
        Some("diffie-hellman-group14-sha1")
    );
    assert!(
        settings(&user("HostKeyAlgorithms ^ssh-ed25519"), "a")
            .algorithms
            .host_keys_ordered
    );
}

#[test]
fn what_is_read_past_is_told_once() {
    let world = user(
        "ForwardX11 no\nHost b\n ForwardAgent yes\n LocalForward 80 x:80\nGSSAPIAuthentication yes\n",
    );
    let config = SshConfig::load(&SshFiles::Usual, &bastion(), &world).unwrap();
    let told: Vec<(&str, usize)> = config
        .ignored()
        .iter()
        .map(|ignored| (ignored.keyword, ignored.line))
        .collect();
    assert_eq!(
        told,
        [
            ("ForwardAgent", 3),
            ("LocalForward", 4),
            ("GSSAPIAuthentication", 5)
        ]
    );
}

#[test]
fn includes_are_found_beside_their_files_and_have_bounds() {
    let world = world(&[
        ("/home/op/.ssh/config", "Include conf.d/* ~/more\n"),
        ("/home/op/.ssh/conf.d/1", "Port 1\n"),
        ("/home/op/more", "User more\n"),
        ("/etc/ssh/ssh_config", "Include ssh_config.d/*.conf\n"),
        ("/etc/ssh/ssh_config.d/1.conf", "Compression yes\n"),
    ]);
    let found = settings(&world, "a");
    assert_eq!(
        (found.port, found.user.as_str(), found.compression),
        (1, "more", true)
    );
    let refused = |files: &[(&str, &str)], message: &str| {
        let error = SshConfig::load(&SshFiles::Usual, &bastion(), &self::world(files)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    };
    refused(&[("/home/op/.ssh/config", "\nInclude config\n")], "16 deep");
    refused(
        &[("/home/op/.ssh/config", "Include config config config\n")],
        "16 deep",
    );
    refused(
        &[("/etc/ssh/ssh_config", "User x\nInclude ~/x\n")],
        "/etc/ssh/ssh_config:2: a system's file",
    );
    refused(
        &[
            ("/home/op/.ssh/config", "Include open-to-all\n"),
            ("/home/op/.ssh/open-to-all", ""),
        ],
        "/home/op/.ssh/open-to-all: bad owner or permissions",
    );
    let large = "#".repeat(2 << 20);
    refused(&[("/home/op/.ssh/config", &large)], "larger than 1 MiB");
    refused(&[("/home/op/.ssh/config", "Port 1\0\n")], "is no text");
    let many = "Include one\n".repeat(2000);
    refused(
        &[
            ("/home/op/.ssh/config", &many),
            ("/home/op/.ssh/one", "Port 1\n"),
        ],
        "more than 1024 files",
    );
    let files = SshFiles::Only("/no/such".into());
    let error = SshConfig::load(&files, &bastion(), &Files::default()).unwrap_err();
    assert_eq!(error.to_string(), "/no/such: there is no such file");
}

#[test]
fn a_thousand_hosts_and_two_thousand_blocks_take_no_time() {
    let mut text = String::new();
    for block in 0..2000 {
        writeln!(
            text,
            "Host vm{block} *.rack{block}.example.org\n HostName 10.0.{}.{}\n User u\n Port 2200",
            block / 250,
            block % 250
        )
        .unwrap();
    }
    text.push_str("Host vm*\n ProxyJump gw\n ConnectTimeout 5\n");
    let world = user(&text);
    let config = SshConfig::load(&SshFiles::Usual, &bastion(), &world).unwrap();
    let start = Instant::now();
    for host in 0..1000 {
        let name = format!("vm{host}");
        let found = config
            .resolve(&name, &SshRequest::default(), &bastion(), &world)
            .unwrap();
        assert_eq!(found.settings().jumps().len(), 1);
    }
    let took = start.elapsed();
    eprintln!("ssh_config: 1000 hosts by 2000 blocks in {took:?}");
    // A build without optimisation on a busy machine has room here; a release needs a tenth of a second.
    assert!(took < Duration::from_secs(20), "{took:?}");
}
