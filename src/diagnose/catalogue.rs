//! What every class means, for `explain`.

use crate::model::Class;

/// All that is told about a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// One line.
    pub title: &'static str,
    /// What happens on the host, and why it matters.
    pub meaning: &'static str,
    /// How it is told apart from what looks alike.
    pub told_apart: &'static str,
    /// How to mend it.
    pub mend: &'static str,
    /// What the field's notes and habits get wrong about it.
    pub mistakes: &'static str,
    /// The version of clawfleet that added it.
    pub since: &'static str,
}

/// Explains a class.
pub fn explain(class: Class) -> Explanation {
    let (title, meaning, told_apart, mend, mistakes) = text(class);
    Explanation {
        title,
        meaning,
        told_apart,
        mend,
        mistakes,
        since: "0.1.0",
    }
}

type Text = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

fn text(class: Class) -> Text {
    match class {
        Class::OrphanHoldsPort => (
            "a gateway that no unit manages holds the port",
            "Somebody started a gateway by hand, or an update left one behind. It serves, so everything looks fine from outside, but systemd does not know it: the unit restarts for ever because its port is taken, or gives up and stays in `failed`. At the next reboot the orphan is gone, and nobody knows with which settings it ran.",
            "The listener is no unit's main process and descends from none, and its cgroup is a login session's or a manager's own. In the unit's own cgroup it would be leftover-process; in another service's, duplicate-unit; and a listener that is no gateway is foreign-process-on-port.",
            "End exactly that process (check its start time first, pids are reused), then reset and start the unit. Find out who started it.",
            "\"PPid 1 and holds the port\" is no sign: every system service's main process has parent 1. `pkill -f openclaw-gateway` finds nothing on installed services of 5.x to 9.x, whose command line is node's. Status 78 alone does not mean \"port taken\": it is EX_CONFIG, and 2.x and 3.x end with 1 instead.",
        ),
        Class::DuplicateUnit => (
            "two units claim the same gateway port",
            "A system unit and a user unit (or two users' units) both start a gateway on one port. Depending on the version one loops or is parked with status 78, or each start ends the other as stale, so that the owner alternates while every snapshot looks healthy.",
            "More than one unit of that name is enabled or running, or the port's holder belongs to another service than the one expected. A disabled, stopped leftover file claims nothing and is no fault.",
            "Keep one: stop and disable the other, in its own manager.",
            "`systemctl status` shows only one of them: the other lives in `systemctl --user` of its owner. The gateway's own `status --deep` misses a system unit of the same name up to 7.1.",
        ),
        Class::LeftoverProcess => (
            "an earlier gateway's process is left in the unit's own cgroup",
            "With KillMode=process systemd ends only the main process. A child that listens survives in the unit's cgroup, re-parented, and the unit's next start finds its port taken.",
            "The listener sits in the unit's cgroup, but is neither its main process nor a descendant of it. The cgroup alone would call it managed.",
            "End that process, set KillMode=control-group (or mixed) in the unit, and start it again.",
            "systemd's default is control-group, not process: process came from the gateway's own template up to 3.2.",
        ),
        Class::ForeignProcessOnPort => (
            "something that is not a gateway holds the port",
            "Another program listens on the gateway's port. The gateway cannot start there.",
            "Neither its name and arguments nor its HTTP answer are a gateway's. Clients that are connected to the port do not count, only listeners do.",
            "Stop that program or move one of the two to another port.",
            "From 4.29 to 7.1 the gateway says \"existing gateway is healthy\" whenever any web server answers there, so the message in the journal proves nothing. `kill $(lsof -ti:18789)` kills clients of the port as well.",
        ),
        Class::ConfigError => (
            "the gateway refuses its configuration",
            "The gateway starts, rejects its configuration, and ends. Restarting does not help.",
            "Nobody listens, and the gateway's own message is in the journal, or the unit ended with 78 (EX_CONFIG). With a gateway on the port the same status means that the port is taken.",
            "Read the message, mend openclaw.json, start the unit.",
            "Status 78 is not only \"port taken\". 2.x and 3.x end with 1 for a broken configuration, and 5.x and 6.x do for unknown keys.",
        ),
        Class::TrueCrash => (
            "the gateway dies by itself",
            "The process ends by a signal, for want of memory or with an error of its own, and nobody else holds the port.",
            "The unit failed or restarts in a loop, nobody listens, and neither the status nor the journal tells of a refused configuration or a taken port.",
            "Read the journal and the newest file under logs/stability in the state directory. Do not clear anything before.",
            "A restart loop is not always an orphan: killing \"the process on the port\" does nothing here, there is none.",
        ),
        Class::RestartLoop => (
            "the unit restarts again and again",
            "systemd starts the gateway, it ends, and so on. It costs a processor and fills the journal, and on a small machine it can starve ssh.",
            "The journal shows several scheduled restarts within ten minutes and the main process is young, or the unit waits in auto-restart. A looping unit reads `active (running)` for most of each cycle, so its state is not believed alone; one restart after a change of the configuration is no loop.",
            "Mend the cause that is shown above it; then `systemctl reset-failed` and start.",
            "\"activating (auto-restart)\" is seen only between the attempts. NRestarts grows for healthy reasons, too, and a start by hand resets it. StartLimitBurst=10 within 60 s is never reached with RestartSec=10.",
        ),
        Class::GatewayHung => (
            "the port is open and HTTP does not answer",
            "The process listens, but its event loop is stuck, it is stopped, or it answers only with errors.",
            "A gateway holds the port, the connection stands, and no answer came within the limit, or its status was 500 or above. A process younger than 30 s is starting, not hung.",
            "Look at its state (`T` is stopped by a signal, `D` waits for a disk); restart the unit.",
            "A connect that succeeds is the kernel's doing, not the program's. A 200 on `/` proves nothing either: unknown paths return the control page.",
        ),
        Class::GatewayDown => (
            "no unit runs and nobody listens",
            "The gateway is stopped or was never set up, or its unit has been active without listening for longer than a start takes.",
            "Nobody listens, no unit failed or loops, and none is young enough to be starting. With `role: none` in the inventory it is as it should be.",
            "Start and enable the unit.",
            "",
        ),
        Class::NotObserved => (
            "the host did not answer",
            "Nothing, or not everything, is known about it. That is never \"fine\".",
            "The stage says how far it went: dns, tcp, banner, kex, host-key, auth, channel, become, exec, parse or deadline.",
            "See the host's message.",
            "",
        ),
        Class::NotPermitted => (
            "the probe could not see something that it needs",
            "The login may not read it, so nothing is concluded from it: neither that it is there nor that it is not.",
            "Each thing that was not seen is listed with the reason.",
            "Log in as root, or set `become: sudo` for the host.",
            "An unprivileged `ss -p` or `lsof` shows no owner for other users' sockets; scripts take the empty field for \"nobody\".",
        ),
        Class::ModelSkipped => (
            "a configured model is not used",
            "The configured model does not resolve in this version, so the gateway quietly uses a fallback.",
            "The gateway's own log says that it fell back or does not know the model (sure), or the model's provider is neither in the configuration nor in the installed version's catalogue (likely).",
            "Correct the reference in openclaw.json, or configure its provider.",
            "A primary that is merely missing from `agents.defaults.models` is used all the same, on every version that was tried; on 2.x an unlisted *fallback* is dropped.",
        ),
        Class::RestartGrowth => (
            "restarts rose by more than the limit within a day",
            "The unit was restarted more often than the inventory allows, even if it runs now.",
            "Counted from the journal's \"Scheduled restart job\" lines of the last 24 hours, which survive a reset of NRestarts.",
            "Find what ended it: the journal around those restarts.",
            "A high NRestarts alone is no fault: it adds up over months, grows by healthy reloads, and starts anew after a restart by hand.",
        ),
        Class::JournalNoise => (
            "the journal fills with start failures",
            "So many failed starts are logged that other messages drown.",
            "Counted are \"Failed to start\" and \"Failed with result\" lines of the unit in the last hour. A busy journal of a healthy gateway is no noise.",
            "Mend the cause; then, if wanted, `journalctl --vacuum-time=`.",
            "",
        ),
        Class::GatewayStarting => (
            "the unit is young and does not listen yet",
            "A gateway needs 3 to 40 s to listen, and minutes on some versions; systemd calls it running all the while.",
            "The unit is active, nobody listens or answers yet, and the main process is younger than the inventory's startup_grace.",
            "Wait, and check again.",
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_explained() {
        for class in Class::ALL {
            let text = explain(*class);
            for part in [text.title, text.meaning, text.told_apart, text.mend] {
                assert!(part.len() > 10, "{class}");
            }
            assert!(!text.title.ends_with('.'), "{class}");
        }
    }
}
