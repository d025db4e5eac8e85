//! `docs/hostile-hosts.md` says what is tested, and nothing else. `UPDATE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::fs;

use crate::attack::{AT_ONCE, Attack, Cost, DEADLINE, HOST_MIB, LATE, LONGEST_MESSAGE};
use crate::crowd::EACH_KIB;
use crate::{before_kex, channels, content, kex, login, sudo};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hostile-hosts.md");
const BEGIN: &str = "<!-- begin: written by tests/hostile_hosts -->\n";
const END: &str = "<!-- end -->\n";

fn written() -> String {
    let mut out = String::from(BEGIN);
    bounds(&mut out);
    let parts: [(&str, Vec<Attack>); 6] = [
        ("Before the keys", before_kex::attacks()),
        (
            "In the key exchange, and in later ones",
            [kex::attacks(), vec![kex::changed_key()]].concat(),
        ),
        ("In the login", login::attacks()),
        ("On the channels", channels::attacks()),
        ("In what the probe prints", content::attacks()),
        ("By programs that lie", sudo::attacks()),
    ];
    for (title, attacks) in parts {
        writeln!(
            out,
            "\n## {title}\n\n| behaviour | what the host does | outcome: stage | bound |\n|---|---|---|---|"
        )
        .unwrap();
        for attack in attacks {
            let ends: Vec<String> = attack
                .ends
                .iter()
                .map(|end| end.replace(':', ": "))
                .collect();
            writeln!(
                out,
                "| {} | {} | {} | {} |",
                attack.name,
                attack.does,
                ends.join(" or "),
                class(attack.cost)
            )
            .unwrap();
        }
    }
    out + END
}

fn class(cost: Cost) -> &'static str {
    match cost {
        Cost::AtOnce => "at once",
        Cost::Wait => "deadline, idle",
        Cost::Busy => "deadline, busy",
    }
}

fn bounds(out: &mut String) {
    writeln!(
        out,
        "| bound | the host's own time | processor time that it adds | memory that it adds |\n|---|---|---|---|"
    )
    .unwrap();
    for cost in [Cost::AtOnce, Cost::Wait, Cost::Busy] {
        let time = match cost {
            Cost::AtOnce => format!("{AT_ONCE:?}, under deadlines of 8 s and more"),
            Cost::Wait | Cost::Busy => format!("its deadline ({DEADLINE:?}) and {LATE:?}"),
        };
        let (class, cpu) = (class(cost), cost.cpu());
        writeln!(out, "| {class} | {time} | {cpu:?} | {HOST_MIB} MiB |").unwrap();
    }
    writeln!(
        out,
        "\nMessages about a host are shorter than {LONGEST_MESSAGE} characters and printable. All of these hosts at\n\
         once add less than {} MiB each.",
        EACH_KIB >> 10
    )
    .unwrap();
}

#[test]
fn the_documentation_lists_every_attack() {
    let text = fs::read_to_string(PATH).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let wanted = format!("{head}{}{tail}", written());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PATH, wanted).unwrap();
        return;
    }
    assert!(text == wanted, "run with UPDATE_DOCS=1 and look at {PATH}");
}

#[test]
fn every_attack_has_a_name_of_its_own() {
    let mut names: Vec<&str> = crate::all().iter().map(|attack| attack.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
