//! `clawfleet notify`, the program itself.

use std::path::Path;
use std::process::{Command, Output};

use crate::receiver::{Receiver, answer, ok};
use crate::support::program::clawfleet;

const HOSTS: &str = "fleet: claws\nhosts: {VM1: {}}\n";

/// Runs the program with this inventory, off the thread that the receivers live on.
async fn run(dir: &Path, notify: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    std::fs::write(dir.join("inventory.yaml"), format!("{HOSTS}{notify}")).unwrap();
    let mut command: Command = clawfleet(dir);
    command.args(args).envs(env.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn words(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

#[tokio::test]
async fn a_test_says_what_each_channel_made_of_it() {
    let well = Receiver::always(ok(r#"{"ok":true,"result":{}}"#)).await;
    let ill = Receiver::always(answer(404, "", "no_service")).await;
    let dir = tempfile::tempdir().unwrap();
    let notify = format!(
        "notify:\n  well: {{type: telegram, token: {{env: TOKEN}}, chat: 5, api: \"{}\"}}\n  \
         ill: {{type: slack, url: {{env: URL}}}}\n  program: {{type: command, command: [cat]}}\n",
        well.url("")
    );
    let env = [
        ("TOKEN", "42:AAt0ken-s3cret"),
        ("URL", &ill.url("/services/T1/B1/s3cr3tw0rd")),
    ];
    let output = run(dir.path(), &notify, &["notify", "test", "-vvv"], &env).await;
    let (code, stdout, stderr) = words(&output);
    assert_eq!(code, 1, "{stdout}{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with("well (telegram, http://127.0.0.1:"));
    assert!(lines[0].ends_with(": delivered"));
    assert!(lines[1].contains("NOT DELIVERED: it answered 404: no_service; the webhook"));
    assert!(lines[2] == "program (command, cat): delivered");
    // Not with all logs on.
    assert!(stderr.contains("an alert was sent"), "{stderr}");
    for secret in ["AAt0ken-s3cret", "s3cr3tw0rd"] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret));
    }
    let body = well.only().json();
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("TEST") && text.contains("Nothing is wrong") && text.contains("[claws]"));

    let output = run(dir.path(), &notify, &["notify", "test", "well"], &env).await;
    let (code, stdout, _) = words(&output);
    assert_eq!((code, stdout.lines().count()), (0, 1));
    let output = run(dir.path(), &notify, &["notify", "test", "wel"], &env).await;
    let (code, _, stderr) = words(&output);
    assert!(
        code == 64 && stderr.contains("there are well, ill, program"),
        "{stderr}"
    );
}

#[tokio::test]
async fn the_list_names_sources_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let notify = "notify:\n  ops: {type: slack, url: {env: URL}, min_severity: critical, send_recovered: no}\n  \
        mail: {type: email, server: smtp.example, from: a@b.example, to: c@d.example, user: u, password: {file: /run/secrets/smtp}}\n";
    // Nothing is fetched for it: the variable is not even set.
    let output = run(dir.path(), notify, &["notify", "list"], &[]).await;
    let (code, stdout, stderr) = words(&output);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "ops (slack), line 4\n  gets critical and worse; no recoveries\n  url from env URL\n  \
         at most 60 a minute, 10 s a try\n\
         mail (email), line 5\n  gets everything\n  to c@d.example by smtp.example:587 (starttls)\n  \
         password from file /run/secrets/smtp\n  at most 30 a minute, 10 s a try\n"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let public = dir.path().join("public");
    std::fs::write(&public, "https://hooks.slack.com/services/T/B/x").unwrap();
    let slack = "notify:\n  ops: {type: slack, url: {env: URL}}\n";
    let of_file = format!(
        "notify:\n  ops: {{type: slack, url: {{file: {}}}}}\n",
        public.display()
    );
    let cases: [(&str, Option<&str>, &[&str]); 12] = [
        (
            slack,
            None,
            &["the url of channel `ops`", "URL is not set", "export URL="],
        ),
        (slack, Some(""), &["is empty"]),
        (slack, Some("two words"), &["blanks"]),
        (
            slack,
            Some("hooks.slack.com/services/T/B/x"),
            &["does not begin with https://"],
        ),
        (
            slack,
            Some("http://hooks.slack.com/services/T/B/x"),
            &["begin it with https://"],
        ),
        (
            slack,
            Some("https://hooks.slack.com/workflows/T/B/x"),
            &["no address of a slack robot", "/services/"],
        ),
        (
            slack,
            Some("https://open.feishu.cn/open-apis/bot/v2/hook/x"),
            &["an address of feishu", "set `type: feishu`"],
        ),
        (
            slack,
            Some("https://u:pw12345@a.example/"),
            &["a user or a password"],
        ),
        (&of_file, None, &["every user of this machine", "chmod 600"]),
        (
            "notify: {t: {type: telegram, chat: 1, token: {command: \"echo s3cret:tok\"}}}\n",
            None,
            &["`token` is no token of a bot", "BotFather"],
        ),
        (
            "notify: {w: {type: webhook, url: https://a.example/, ca_file: none.pem}}\n",
            None,
            &["`ca_file` none.pem: no such file"],
        ),
        ("", None, &["there is no `notify`", "docs/notify.md"]),
    ];
    for (notify, url, wanted) in cases {
        let env: Vec<(&str, &str)> = url.iter().map(|url| ("URL", *url)).collect();
        let output = run(dir.path(), notify, &["notify", "test"], &env).await;
        let (code, stdout, stderr) = words(&output);
        assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
        let place = match notify {
            "" => "error: inventory.yaml: ",
            _ => "error: inventory.yaml:",
        };
        assert!(
            stderr.starts_with(place) || stderr.starts_with("error: /"),
            "{stderr}"
        );
        for word in wanted {
            assert!(stderr.contains(word), "no `{word}` in {stderr}");
        }
        assert!(
            !stderr.contains("s3cret") && !stderr.contains("pw12345"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn proxies_of_the_environment_are_used() {
    let proxy = Receiver::always(answer(502, "", "")).await;
    let dir = tempfile::tempdir().unwrap();
    let notify = "notify: {w: {type: webhook, url: https://a.invalid/, timeout: 2s}}\n";
    let address = proxy.url("");
    let args = ["notify", "test", "--deadline", "3s"];
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let output = run(dir.path(), notify, &args, &[(name, &address)]).await;
        let (code, stdout, _) = words(&output);
        assert!(
            code == 1 && stdout.contains("proxy: it does not connect to a.invalid:443 (502)"),
            "{stdout}"
        );
    }
    assert!(
        proxy.requests()[0]
            .line
            .starts_with("CONNECT a.invalid:443 ")
    );
    let past = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", ".invalid")];
    let output = run(dir.path(), notify, &args, &past).await;
    assert!(words(&output).1.contains("DNS"));
}

/// What the documentation shows can be copied.
#[tokio::test]
async fn the_examples_of_the_documentation_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = "groups: {gateways: {hosts: VM1}}\nhosts: {VM1: {}}\n";
    let page = include_str!("../../docs/notify.md");
    let example = include_str!("../../inventory.example.yaml");
    let commented = example
        .lines()
        .skip_while(|line| !line.starts_with("# fleet:"))
        .take_while(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .unwrap_or_default()
        })
        .collect::<Vec<_>>()
        .join("\n");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0.to_owned());
    let all: Vec<String> = blocks.chain([commented]).collect();
    assert_eq!(all.len(), 10);
    for block in all {
        let path = dir.path().join("inventory.yaml");
        std::fs::write(path, format!("{hosts}{block}\n")).unwrap();
        let mut command = clawfleet(dir.path());
        command.args(["notify", "list"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let (code, _, stderr) = words(&output);
        assert_eq!(code, 0, "{block}{stderr}");
    }
}
