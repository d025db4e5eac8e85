//! What a host sends stays text in every format, and no message is over its service's size.

use clawfleet::model::{Alert, AlertKind, Class, Incident, MailSpec, MailTls, Severity, Target};
use clawfleet::notify::render;
use proptest::prelude::*;
use serde_json::Value;

use crate::{alert, from, webhook};

fn targets() -> Vec<Target> {
    vec![
        webhook("http://127.0.0.1/"),
        Target::Slack { url: from("U") },
        Target::Feishu {
            url: from("U"),
            secret: None,
        },
        Target::DingTalk {
            url: from("U"),
            secret: None,
        },
        Target::WeCom { url: from("U") },
        Target::Telegram {
            token: from("T"),
            chat: "1".into(),
            topic: None,
            api: "http://127.0.0.1".into(),
        },
        Target::Email(MailSpec {
            server: "localhost".into(),
            port: 25,
            tls: MailTls::None,
            user: None,
            password: None,
            from: "a@b".into(),
            to: vec!["c@d".into()],
        }),
    ]
}

/// Tags that are opened and closed in order, and nothing of `&<>` beside them.
pub(crate) fn is_telegram_html(text: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find(['<', '&', '>']) {
        rest = &rest[place..];
        if let Some(after) = ["&amp;", "&lt;", "&gt;", "&quot;"]
            .iter()
            .find_map(|entity| rest.strip_prefix(entity))
        {
            rest = after;
            continue;
        }
        let Some((tag, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            return false;
        };
        match tag.strip_prefix('/') {
            Some(tag) if open.pop() == Some(tag) => {}
            None if ["b", "pre", "code"].contains(&tag) => open.push(tag),
            _ => return false,
        }
        rest = after;
    }
    open.is_empty()
}

/// Every text in a JSON value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

/// Everything that some service gives a meaning, in the places where a host's words stand.
const HOSTILE: [&str; 14] = [
    "<!channel> <!here> <@U012345> <https://evil.example|click>",
    "@channel @all @everyone @所有人 <@all>",
    "<at id=all></at> <at user_id=\"all\">x</at>",
    "[click](https://evil.example) ![x](https://evil.example/x.png)",
    "</pre></code></b><a href=\"https://evil.example\">x</a>",
    "``` ` ```` *bold* _it_ ~no~",
    "<script>alert(1)</script><font color=\"red\">x</font>",
    "a\r\nBcc: everybody@evil.example\r\n\r\n.\r\nQUIT\r\n",
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\0\u{7f}",
    "\u{202e}txet desrever\u{2066}\u{200b}\u{feff}\u{2028}",
    "{{template}} {\"json\": true} \\\" \\u0000 %s ${HOME} $(id)",
    "# heading\n> quote\n- list\n| a | b |\n---",
    "&amp; &lt; &#60; &#x3c;",
    "https://evil.example http://evil.example/?a=b ftp://evil.example",
];

fn hostile_alert(text: &str) -> Alert {
    let mut told = alert();
    let first = &mut told.incidents[0];
    first.evidence = vec![text.to_owned(); 3];
    first.subject = text.to_owned();
    first.remedy = Some(text.to_owned());
    told.arranged()
}

#[test]
fn what_a_host_sends_is_inert() {
    for hostile in HOSTILE {
        let told = hostile_alert(hostile);
        for target in targets() {
            let name = target.id();
            let body = render(&target, &told, "0123456789abcdef");
            assert!(
                !body.chars().any(clawfleet::model::is_unsafe),
                "{name}: {body}"
            );
            let value: Value = serde_json::from_str(&body).unwrap();
            let mut all = Vec::new();
            texts(&value, &mut all);
            for text in &all {
                assert!(
                    !text
                        .chars()
                        .any(|c| clawfleet::model::is_unsafe(c) && c != '\n')
                        || name == "webhook",
                    "{name}: {text:?}"
                );
            }
            let joined = all.join("\n");
            let none_of: &[&str] = match name {
                "slack" => &["<", ">"],
                "dingtalk" | "wecom" => &["<@", "<at", "<font", "](", "<script", "</"],
                "telegram" => &["<a", "<script", "<@"],
                _ => &[],
            };
            for odd in none_of {
                assert!(!joined.contains(odd), "{name}: `{odd}` in {joined}");
            }
            match name {
                "telegram" => assert!(
                    is_telegram_html(value["text"].as_str().unwrap()),
                    "{joined}"
                ),
                // Feishu: nothing but plain texts, in which nothing is a tag.
                "feishu" => assert!(!body.contains("lark_md") && !body.contains("\"markdown\"")),
                "dingtalk" => assert_eq!(value["at"]["isAtAll"], false),
                "slack" => {
                    // Code that is opened is closed.
                    for block in value["blocks"].as_array().unwrap() {
                        let text = block["text"]["text"].as_str().unwrap_or_default();
                        assert_eq!(text.matches("```").count() % 2, 0, "{text}");
                        if block["type"] == "section" {
                            assert_eq!(block["text"]["verbatim"], true);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn no_format_makes_a_link_of_what_a_host_sends() {
    let mut told = hostile_alert("see https://evil.example/x");
    // Commands are not taken apart: one with an address in it can be pasted.
    told.incidents[0].remedy = None;
    for target in targets() {
        if target.id() == "webhook" {
            continue;
        }
        let body = render(&target, &told, "id");
        let in_code = target.id() == "telegram";
        assert!(in_code || !body.contains("https://evil"), "{body}");
        if in_code {
            let text = serde_json::from_str::<Value>(&body).unwrap();
            let outside: String = text["text"]
                .as_str()
                .unwrap()
                .split("<pre>")
                .flat_map(|part| part.split("</pre>").skip(1))
                .flat_map(|part| part.split("<code>"))
                .map(|part| part.split("</code>").last().unwrap_or_default())
                .collect();
            assert!(!outside.contains("evil"), "{outside}");
        }
    }
}

/// What each service counts, and how much it takes.
fn within(target: &Target, body: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (size, limit) = match target.id() {
        "webhook" => (body.len(), 513 << 10),
        "feishu" => (body.len() + 120, 20_000),
        "dingtalk" => (body.len(), 20_000),
        "wecom" => (text(&value["markdown"]["content"]).len(), 4096),
        "telegram" => {
            let text = text(&value["text"]);
            if !is_telegram_html(&text) {
                return Err(format!("broken marks: {text}"));
            }
            (text.encode_utf16().count(), 4096)
        }
        "email" => (text(&value["text"]).len(), 100_000),
        "slack" => {
            let blocks = value["blocks"].as_array().unwrap();
            for block in blocks {
                let length = text(&block["text"]["text"]).chars().count();
                let limit = if block["type"] == "header" { 150 } else { 3000 };
                if length > limit || (length == 0 && block["type"] != "context") {
                    return Err(format!("a block of {length} characters"));
                }
            }
            (blocks.len(), 50)
        }
        other => return Err(other.to_owned()),
    };
    if size > limit {
        return Err(format!("{size} of {limit}"));
    }
    Ok(())
}

fn incidents() -> impl Strategy<Value = Vec<Incident>> {
    let text = prop_oneof![
        "\\PC{0,400}",
        "[<>&`*\\[\\]()\"\\\\@]{0,400}",
        "(网关|🦞|\u{202e}|x){0,400}",
        "[\\x00-\\xff]{0,100}",
    ];
    let incident = (
        0..AlertKind::ALL.len(),
        0..Class::ALL.len(),
        prop_oneof![1usize..20, 1usize..300],
        any::<bool>(),
        proptest::collection::vec(text.clone(), 0..12),
        text.clone(),
        proptest::option::of(text),
    );
    let incident = incident.prop_map(|(kind, class, hosts, regular, evidence, subject, remedy)| {
        let name = |n: usize| match regular {
            true => format!("VM{n}"),
            // Names that do not fold.
            false => format!(
                "h{}-{}",
                n * 7919 % 104_729,
                char::from(b'a' + (n % 26) as u8)
            ),
        };
        let class = Class::ALL[class];
        let hosts = (0..hosts).map(name).collect();
        let mut incident = Incident::new(AlertKind::ALL[kind], class.id(), class.severity(), hosts);
        incident.was = Some(Severity::Info);
        incident.title = subject.clone();
        incident.evidence = evidence;
        incident.subject = subject;
        incident.remedy = remedy;
        incident
    });
    prop_oneof![
        proptest::collection::vec(incident.clone(), 0..5),
        proptest::collection::vec(incident, 20..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_message_is_over_its_services_size(incidents in incidents(), fleet in "\\PC{0,100}") {
        let mut told = alert();
        told.fleet = fleet;
        told.incidents = incidents;
        let told = told.arranged();
        for target in targets() {
            let body = render(&target, &told, "0123456789abcdef");
            let fits = within(&target, &body);
            prop_assert!(fits.is_ok(), "{}: {:?}", target.id(), fits);
            // Something is said of the first one, always.
            if let Some(first) = told.incidents.first() {
                prop_assert!(body.contains(&first.class), "{}: {}", target.id(), body);
            }
        }
    }
}

#[test]
fn a_thousand_incidents_are_cut_with_a_count_and_a_large_fleet_with_a_name() {
    let mut told = alert();
    let one = told.incidents[0].clone();
    told.incidents = (0..1000).map(|_| one.clone()).collect();
    for target in targets() {
        let body = render(&target, &told, "0123456789abcdef");
        within(&target, &body).unwrap();
        match target.id() {
            "webhook" => {
                let body: Value = serde_json::from_str(&body).unwrap();
                let shown = body["incidents"].as_array().unwrap().len();
                assert_eq!(
                    shown as u64 + body["incidents_omitted"].as_u64().unwrap(),
                    1000
                );
            }
            name => assert!(body.contains("more incidents"), "{name}: {body}"),
        }
        // The first ones keep their evidence.
        assert!(body.contains("held by pid 162"), "{}", target.id());
    }
    let mut told = alert();
    told.incidents.truncate(1);
    told.incidents[0].hosts = (0..10_000)
        .map(|n| format!("VM{}", n * n % 99_991))
        .collect();
    let told = told.arranged();
    for target in targets() {
        let body = render(&target, &told, "0123456789abcdef");
        within(&target, &body).unwrap();
        if target.id() != "webhook" {
            assert!(body.contains(" more"), "{body}");
        }
    }
}

#[test]
fn a_message_reads_well() {
    let mail = &targets()[6];
    let body: Value = serde_json::from_str(&render(mail, &alert(), "0123456789abcdef")).unwrap();
    assert_eq!(
        body["subject"],
        "[claws] NEW critical: orphan-holds-port on VM[151-153], and 1 more"
    );
    assert_eq!(
        body["text"],
        "[claws] NEW critical: orphan-holds-port on VM[151-153], and 1 more\n\n\
         NEW critical: orphan-holds-port on VM[151-153] (3 hosts)\n\
         a gateway that no unit manages holds the port\n\
         about openclaw-gateway.service (system)\n\
         since 2026-11-21 07:44 UTC (5 min)\n\
         \x20   port 18789 is held by pid 162 `openclaw`, uid 1501\n\
         \x20   system unit: active (running), restart counter 609\n\
         therefore: restart-loop\n\
         do: clawfleet fix 'VM[151-153]'\n\
         look: clawfleet check 'VM[151-153]' -v\n\n\
         RECOVERED: gateway-hung on VM9 (1 host)\n\
         the gateway does not answer\n\
         from 2026-11-21 05:00 UTC to 2026-11-21 07:00 UTC (2 h)\n\n\
         40 hosts: 3 critical, 1 not observed, 36 ok · 2026-11-21 07:50 UTC · clawfleet on bastion1 · \
         run r-20261121-1 · message 01234567"
    );
    let wecom = render(&targets()[4], &alert(), "0123456789abcdef");
    let body: Value = serde_json::from_str(&wecom).unwrap();
    let text = body["markdown"]["content"].as_str().unwrap();
    assert!(
        text.starts_with("#### [claws] NEW critical: orphan"),
        "{text}"
    );
    assert!(text.contains("**NEW critical: orphan-holds-port** on `VM[151-153]` (3 hosts)\n"));
    assert!(
        text.contains("\ndo: `clawfleet fix 'VM[151-153]'`\n"),
        "{text}"
    );
}
