//! `notify`: what is wrong with a channel, and where.

use crate::refuses;

/// An inventory of two hosts with this text under `notify`.
fn notify(text: &str) -> String {
    format!("groups: {{g: {{hosts: VM1}}}}\nhosts: {{VM1: {{}}, VM2: {{}}}}\nnotify:\n{text}")
}

#[test]
fn a_channel_that_cannot_be_read_is_refused_where_it_stands() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "  c:",
            "4:3",
            &["channel `c`: `type` is missing", "webhook, slack"],
        ),
        ("  c: {}", "4:3", &["`type` is missing"]),
        ("  all: {type: slack}", "4:3", &["a word of selectors"]),
        ("  'a b': {type: slack}", "4:3", &["no channel name"]),
        (
            "  c: {type: slak}",
            "4:13",
            &["`slak` is none of", "did you mean `slack`?"],
        ),
        (
            "  c: {typ: slack}",
            "4:7",
            &["unknown key `typ`", "did you mean `type`?"],
        ),
        ("  c: slack", "4:6", &[]),
        (
            "  c: {type: slack}",
            "4:3",
            &["`url` is missing", "{env: SLACK_WEBHOOK}"],
        ),
        (
            "  c: {type: slack, chat: 5, url: {env: U}}",
            "4:26",
            &["`chat` is not for slack", "for telegram"],
        ),
        ("  c: {type: webhook}", "4:3", &["`url` is missing", "e.g."]),
        (
            "  c: {type: webhook, url: 5}",
            "4:27",
            &["`url` is an address"],
        ),
        (
            "  c: {type: webhook, url: a.example}",
            "4:27",
            &["does not begin with https://"],
        ),
        (
            "  c: {type: webhook, url: 'ftp://a'}",
            "4:27",
            &["neither https:// nor http://"],
        ),
        (
            "  c: {type: webhook, url: 'https://'}",
            "4:27",
            &["names no host"],
        ),
        (
            "  c: {type: webhook, url: 'https://a:x/'}",
            "4:27",
            &["port"],
        ),
        (
            "  c: {type: webhook, url: 'http://a.example/'}",
            "4:27",
            &["without TLS", "plaintext: true"],
        ),
        (
            "  c: {type: telegram, token: {env: T}}",
            "4:3",
            &["`chat` is missing"],
        ),
        (
            "  c: {type: telegram, chat: 5}",
            "4:3",
            &["`token` is missing"],
        ),
        (
            "  c: {type: telegram, token: {env: T}, chat: ops}",
            "4:46",
            &["neither the number", "-1001234567890"],
        ),
        ("  c: {type: email}", "4:3", &["`server` is missing"]),
        (
            "  c: {type: email, server: 'a b'}",
            "4:28",
            &["no name and no address"],
        ),
        (
            "  c: {type: email, server: 'a:25'}",
            "4:28",
            &["`port: 587`"],
        ),
        (
            "  c: {type: email, server: a}",
            "4:3",
            &["`from` is missing"],
        ),
        (
            "  c: {type: email, server: a, from: x@y}",
            "4:3",
            &["`to` is missing"],
        ),
        (
            "  c: {type: email, server: a, from: 'Ops <x@y>', to: z@y}",
            "4:37",
            &["`Ops <x@y>`", "the bare address"],
        ),
        (
            "  c: {type: email, server: a, from: x@y, to: [z@y, \"a@b\\r\\nRCPT\"]}",
            "4:46",
            &["no mail address"],
        ),
        (
            "  c: {type: email, server: a, from: x@y, to: []}",
            "4:46",
            &["from 1 to 100"],
        ),
        (
            "  c: {type: email, server: a, tls: none, from: x@y, to: z@y}",
            "4:36",
            &["without TLS", "tls: starttls"],
        ),
        (
            "  c: {type: email, server: a, tls: ssl}",
            "4:36",
            &["`ssl` is none of", "implicit"],
        ),
        (
            "  c: {type: email, server: a, from: x@y, to: z@y, user: u}",
            "4:57",
            &["logs in with a password"],
        ),
        (
            "  c: {type: email, server: a, from: x@y, to: z@y, password: {env: P}}",
            "4:61",
            &["belongs to a `user`"],
        ),
        (
            "  c: {type: command}",
            "4:3",
            &["`command` is missing", "shell"],
        ),
        (
            "  c: {type: command, command: []}",
            "4:31",
            &["names no program"],
        ),
        ("  c: {type: command, command: 'a b'}", "4:31", &[]),
        (
            "  c: {type: command, shell: ''}",
            "4:29",
            &["`shell` is no command"],
        ),
        (
            "  c: {type: command, command: [a], shell: b}",
            "4:43",
            &["both `command` and `shell`"],
        ),
    ];
    for (text, place, words) in cases {
        refuses(&notify(text), place, words);
    }
}

#[test]
fn a_filter_that_means_nothing_is_refused() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "classes: orphan",
            "4:44",
            &["no class is called `orphan`", "check --list"],
        ),
        (
            "classes: [disk-low, disk-lo]",
            "4:44",
            &["`disk-lo`", "did you mean `disk-low`?"],
        ),
        ("classes: custom/none", "4:44", &["`custom/none`"]),
        ("min_severity: bad", "4:49", &["`bad` is none of"]),
        ("hosts: VM9", "4:42", &["VM9"]),
        (
            "hosts: '@failed'",
            "4:42",
            &["cannot depend on the last run"],
        ),
        ("kinds: test", "4:42", &["no kind of alert", "recovered"]),
        (
            "kinds: [new], send_recovered: true",
            "4:65",
            &["`kinds` says the opposite"],
        ),
        ("rate: 0", "4:41", &["from 1 to 600"]),
        ("timeout: 10m", "4:44", &["5 minutes at most"]),
        ("timeout: 0", "4:44", &["more than zero"]),
    ];
    for (text, place, words) in cases {
        let text = format!("  c: {{type: slack, url: {{env: U}}, {text}}}");
        refuses(&notify(&text), place, words);
    }
    refuses(
        "fleet: ''\nhosts: {VM1: {}}\n",
        "1:8",
        &["`fleet` is no name"],
    );
}

#[test]
fn a_secret_in_the_inventory_is_refused_and_not_repeated() {
    let cases = [
        (
            "type: slack, url: 'https://hooks.slack.com/services/T/B/s3cret'",
            "4:25",
        ),
        (
            "type: feishu, url: 'https://open.feishu.cn/open-apis/bot/v2/hook/s3cret'",
            "4:26",
        ),
        ("type: dingtalk, url: {env: U}, secret: s3cret", "4:46"),
        ("type: telegram, chat: 5, token: '42:s3cret'", "4:39"),
        ("type: telegram, chat: 5, token: {value: s3cret}", "4:39"),
        (
            "type: email, server: a, from: x@y, to: z@y, user: u, password: s3cret",
            "4:70",
        ),
        (
            "type: webhook, url: 'https://a.example/', secret: s3cret",
            "4:57",
        ),
        (
            "type: webhook, url: {env: 'https://a.example/s3cret'}",
            "4:27",
        ),
        ("type: webhook, url: {file: s3cret}", "4:27"),
        (
            "type: webhook, url: 'https://a.example/?token=s3cret'",
            "4:27",
        ),
        (
            "type: webhook, url: 'https://a.example/hooks/s3cret0123456789abcdef'",
            "4:27",
        ),
        ("type: webhook, url: 'https://u:s3cret@a.example/'", "4:27"),
        (
            "type: webhook, url: 'https://hooks.slack.com/services/T/B/s3cret'",
            "4:27",
        ),
    ];
    for (text, place) in cases {
        let text = notify(&format!("  c: {{{text}}}"));
        refuses(&text, place, &[]);
        let desk = crate::Desk::with(&text);
        let run = desk.run(&["inventory", "list"]);
        assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    }
    refuses(
        &notify("  c: {type: wecom, url: 'https://a.example/'}"),
        "4:25",
        &[
            "it is a secret",
            "`{env: NAME}`",
            "`{file: /PATH}`",
            "`{command: \"…\"}`",
        ],
    );
}
