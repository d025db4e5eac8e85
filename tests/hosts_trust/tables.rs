//! What is shown, as snapshots.

use clawfleet::model::{
    HostError, KeyGroup, KeyKind, KeyStanding, OldKey, Says, ShownKey, Stage, Voice,
};
use clawfleet::report::{Style, View, question, shown_keys, unseen_hosts};

const VIEW: View = View {
    style: Style::Plain,
    width: 80,
    verbose: false,
    quiet: false,
};

const PRINT: &str = "SHA256:z3uZDCHDzQtkTzRP8mlJ3ATkwnTXKhbXwv8w4zRzNhs";
const OTHER: &str = "SHA256:Jr8d6WxKUSl0yQxQ9CfM0yYvGmCB6bCwvIoS7oWk0wA";

fn key(host: &str, kind: KeyKind, standing: KeyStanding, says: &[(&str, Says)]) -> ShownKey {
    ShownKey {
        host: host.to_owned(),
        kind,
        fingerprint: PRINT.to_owned(),
        standing,
        voices: says
            .iter()
            .map(|(source, says)| Voice {
                source: (*source).to_owned(),
                says: says.clone(),
            })
            .collect(),
    }
}

#[test]
fn every_question_at_80_columns() {
    let new = || KeyStanding::New;
    let old = OldKey {
        kind: KeyKind::Ed25519,
        fingerprint: OTHER.to_owned(),
        at: "/home/ops/.ssh/known_hosts:117".to_owned(),
    };
    let changed = |says: &[(&str, Says)]| {
        let standing = KeyStanding::Changed(vec![old.clone()]);
        vec![key("VM151", KeyKind::Ed25519, standing, says)]
    };
    let refused = KeyStanding::Refused("it is revoked at /etc/ssh/revoked:3".to_owned());
    let list = ("list.txt", Says::Vouches);
    let groups = [
        (
            KeyGroup::Contradicted,
            vec![key(
                "VM151",
                KeyKind::Ed25519,
                new(),
                &[("DNS", Says::Contradicts(vec![OTHER.to_owned()]))],
            )],
        ),
        (
            KeyGroup::Refused,
            vec![key("evil\u{1b}[2J", KeyKind::Rsa, refused, &[])],
        ),
        (KeyGroup::Changed, changed(&[])),
        (
            KeyGroup::VouchedReplacement,
            changed(std::slice::from_ref(&list)),
        ),
        (
            KeyGroup::VouchedNew,
            vec![
                key(
                    "VM151",
                    KeyKind::Ed25519,
                    new(),
                    &[list.clone(), ("DNS", Says::Vouches)],
                ),
                key("VM152", KeyKind::Ecdsa, new(), &[list]),
            ],
        ),
        (
            KeyGroup::UnvouchedNew,
            vec![
                key("VM151", KeyKind::Ed25519, new(), &[]),
                key("VM152", KeyKind::Ed25519, new(), &[]),
                key(
                    "VM160",
                    KeyKind::Rsa,
                    new(),
                    &[("DNS", Says::Unproven("unsigned"))],
                ),
            ],
        ),
    ];
    let mut text = String::new();
    for (group, keys) in groups {
        text += &shown_keys(group, &keys, VIEW);
        if group.is_open() {
            text += &format!("{}\n", question(group, &keys));
        }
    }
    let error = HostError::new(Stage::Tcp, "no answer to the TCP connect");
    let unseen = ["VM1", "VM2"].map(|host| (host.to_owned(), error.clone()));
    text += &unseen_hosts(&unseen, VIEW);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    insta::assert_snapshot!(text);
}
