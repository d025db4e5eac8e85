//! The question before a change, at a real terminal.

use std::time::Duration;

use super::{AtOnce, Controller, Host, SOUND, fresh, hosts};
use crate::lab::on_host;
use crate::terminal::{CTRL_C, converse};

const ASKED: &str = "[q]uit: ";

/// At a terminal: three hosts, of which the last has another change before it.
struct Scene {
    hosts: Vec<String>,
    before: Vec<Host>,
    bastion: Controller,
}

impl Scene {
    fn set(first: u32) -> Self {
        let hosts: Vec<String> = (first..first + 3).map(fresh).collect();
        on_host(
            &hosts[2],
            "d=/etc/systemd/system/openclaw-gateway.service.d; mkdir $d && \
             printf '[Service]\\nEnvironment=LAB_OLD=1\\n' >$d/50-clawfleet.conf && systemctl daemon-reload",
        );
        Self {
            before: hosts.iter().map(|host| Host::see(host)).collect(),
            bastion: Controller::of(&hosts),
            hosts,
        }
    }

    /// Returns the exit code and the screen.
    fn converse(&self, answers: &[(&str, &str)]) -> (Option<i32>, String) {
        let template = self.bastion.path("sound");
        let command = self.bastion.command(&[
            "harden",
            "all",
            "--template-dir",
            template.to_str().unwrap(),
            "--restart",
            "always",
            "--settle",
            "1s",
            "--well-within",
            "9s",
            "--undo-after",
            "40s",
        ]);
        converse(&command, answers, Duration::from_secs(90))
    }

    /// These got it, the others did not.
    #[track_caller]
    fn has_changed(&self, changed: &[usize]) {
        for (index, host) in self.hosts.iter().enumerate() {
            let now = Host::see(host);
            if changed.contains(&index) {
                now.has(&self.before[index], SOUND);
            } else {
                now.is_again(&self.before[index]);
            }
        }
    }
}

#[test]
fn each_distinct_change_is_asked_about_once() {
    let _turn = hosts();
    let mut all = AtOnce::default();
    all.go("no, then yes", || {
        let scene = Scene::set(0);
        let (code, screen) = scene.converse(&[(ASKED, "maybe"), (ASKED, "n"), (ASKED, "y")]);
        assert_eq!(code, Some(4), "{screen}");
        assert!(screen.contains("Please answer"), "{screen}");
        scene.has_changed(&[2]);
    });
    all.go("all", || {
        let scene = Scene::set(3);
        let (code, screen) = scene.converse(&[(ASKED, "all")]);
        assert_eq!(code, Some(0), "{screen}");
        // What will be restarted is said before the question.
        let question = screen.find(ASKED).unwrap();
        assert!(screen[..question].contains("restart"), "{screen}");
        assert!(screen.contains("+Environment=LAB_NEW=1"), "{screen}");
        scene.has_changed(&[0, 1, 2]);
    });
    all.go("details and another selection", || {
        let scene = Scene::set(6);
        let (stranger, chosen) = (scene.hosts[2].clone(), scene.hosts[1].clone());
        let (code, screen) = scene.converse(&[
            (ASKED, "d"),
            (ASKED, "e"),
            ("Which of them", &stranger),
            ("is not among", "e"),
            ("Which of them", &chosen),
            (ASKED, "y"),
            (ASKED, "n"),
        ]);
        assert_eq!(code, Some(4), "{screen}");
        assert!(screen.contains(&format!("Change {chosen}?")), "{screen}");
        scene.has_changed(&[1]);
    });
    for (index, (what, answer, wanted)) in (9..).step_by(3).zip([
        ("quit", "q", Some(4)),
        ("Ctrl-C", CTRL_C, Some(130)),
        ("Ctrl-D", "\u{4}", Some(4)),
    ]) {
        all.go(what, move || {
            let scene = Scene::set(index);
            let (code, screen) = scene.converse(&[(ASKED, answer)]);
            assert_eq!(code, wanted, "{screen}");
            scene.has_changed(&[]);
        });
    }
    all.all_well();
}
