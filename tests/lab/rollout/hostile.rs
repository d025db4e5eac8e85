//! Hosts that answer nonsense, nothing, too much or lies, in each step, beside an honest one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AtOnce, Controller, HOSTS, Host, SOUND, fresh, hosts, name, tell};
use crate::lab::on_host;

const STEPS: [&str; 4] = ["prepare", "apply", "look", "disarm"];
const WAYS: [&str; 7] = [
    "silence", "hang", "noise", "endless", "foreign", "good", "contrary",
];

/// Its sshd hands every command to the liar.
fn turn(host: &str, lie: &str) {
    let script = include_str!("liar.sh");
    on_host(
        host,
        &format!(
            "cat >/usr/local/bin/lab-liar <<'END_OF_LIAR'\n{script}\nEND_OF_LIAR\n\
             chmod 755 /usr/local/bin/lab-liar; echo '{lie}' >/etc/lab-liar; \
             cp -p /etc/ssh/sshd_config /etc/lab-sshd_config; \
             sed -i '1i ForceCommand /usr/local/bin/lab-liar' /etc/ssh/sshd_config && \
             systemctl reload ssh"
        ),
    );
}

fn turn_back(host: &str) {
    on_host(
        host,
        "pkill -f '^/bin/bash /usr/local/bin/lab-liar'; pkill -f '^sleep 300'; mv /etc/lab-sshd_config /etc/ssh/sshd_config && systemctl reload ssh; \
         rm -f /usr/local/bin/lab-liar /etc/lab-liar",
    );
}

#[test]
fn a_host_that_lies_harms_only_itself() {
    let _turn = hosts();
    let lies: Vec<String> = STEPS
        .iter()
        .flat_map(|step| WAYS.map(|way| format!("{step} {way}")))
        .collect();
    let honest = 2;
    assert_eq!(lies.len() + honest, HOSTS as usize);
    let mut prepared = AtOnce::default();
    for index in 0..HOSTS {
        let lie = lies.get(index as usize).cloned();
        prepared.go(name(index), move || {
            let host = fresh(index);
            if let Some(lie) = lie {
                turn(&host, &lie);
            }
        });
    }
    prepared.all_well();
    let all: Vec<String> = (0..HOSTS).map(name).collect();
    let before: Vec<Host> = all.iter().map(|host| Host::see(host)).collect();
    let bastion = Controller::of(&all);
    let template = bastion.path("sound");
    let ran = bastion.harden(
        template.to_str().unwrap(),
        &[
            "all",
            "--restart",
            "always",
            "--batch",
            "100%",
            "--max-fail",
            "100%",
        ],
    );
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for (index, host) in all.iter().enumerate() {
        let lie = lies.get(index).map_or("honest", String::as_str);
        ends.insert(format!("{lie} ({host})"), ran.outcomes()[host].clone());
    }
    for (lie, end) in &ends {
        eprintln!("| {lie} | {end} |");
    }
    tell("28 hosts that lie", &ran);
    let mut back = AtOnce::default();
    for host in all.iter().take(lies.len()) {
        let host = host.clone();
        back.go(host.clone(), move || turn_back(&host));
    }
    back.all_well();
    assert!(ran.elapsed < Duration::from_secs(180), "{:?}", ran.elapsed);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let raw = |text: &str| text.contains('\u{1b}') || text.contains('\u{7}');
    assert!(!raw(&ran.stderr) && !raw(&ran.stdout), "{ran:?}");
    assert!(ran.stdout.len() < 300_000, "{}", ran.stdout.len());
    for (index, host) in all.iter().enumerate() {
        let outcome = ran.outcomes()[host].clone();
        let now = super::settled(host, Duration::from_secs(60));
        match lies.get(index) {
            None => {
                assert_eq!(outcome, "applied", "{host}");
                now.is_as_claimed("applied", &before[index]);
            }
            // Whatever it said, the host's own undo leaves it whole: with the old files or with the new ones.
            Some(lie) => {
                assert!(now.left.is_empty(), "{lie}: {now:?}");
                now.works();
                if now.gateway("drop-in") == "-" {
                    now.is_again(&before[index]);
                } else {
                    now.has(&before[index], SOUND);
                }
                // Where it was never asked to write, or its lie is no good end, none is claimed.
                if !lie.ends_with("good") && !lie.starts_with("disarm") {
                    assert_ne!(outcome, "applied", "{lie}");
                }
            }
        }
    }
}
