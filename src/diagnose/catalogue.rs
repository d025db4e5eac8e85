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
        Class::DebugPortOpen => (
            "the Node inspector is open on the gateway",
            "Whoever reaches that port can run code as the gateway, with its tokens and its channels. On 2026.9.6 a stray SIGUSR1, which restarted older versions, opens it.",
            "The gateway's own process listens on 9229, or on the port that its --inspect names. Another program on that port is none of the gateway's.",
            "Restart the gateway, which closes it. Send SIGUSR2, or use the gateway's own restart, where SIGUSR1 was used.",
            "SIGUSR1 as \"reload\" is advice for versions up to 9.3; `kill -HUP` ends the gateway on every version.",
        ),
        Class::BindWithoutAuth => (
            "reachable from outside loopback, and nobody is asked who they are",
            "Everybody who reaches the port commands the agents.",
            "The gateway's own socket is bound beyond loopback and `gateway.auth.mode` is none. A proxy's socket in front of it does not count: it may well ask.",
            "Set gateway.auth.mode to token, or gateway.bind to loopback.",
            "Most versions refuse to start like that; a container's default address and old versions do not.",
        ),
        Class::RoleMismatch => (
            "a gateway where the inventory expects none, or the other way round",
            "The inventory and the host disagree about what the host is for.",
            "`role: none` and a gateway runs or would be started; or `role: gateway` and there is no unit, no process and no configuration of one at all. A gateway that is only stopped is gateway-down.",
            "Correct the inventory, or the host.",
            "",
        ),
        Class::NextStartFails => (
            "the gateway serves, and would not start again",
            "A configuration that was broken under a running gateway is ignored until the next start, which then fails: at the next update, reboot or crash. The same holds for a program that was removed.",
            "The running process itself logged that it skipped the changed configuration (sure); the file is no JSON5, or its gateway.mode is not local (likely); or a program that the unit starts is gone (sure). If nobody serves any more it is config-error.",
            "Mend the file: `openclaw config validate` tells where. Then nothing has to be restarted.",
            "",
        ),
        Class::RestartedFromInside => (
            "a restart was asked for from within the gateway's own cgroup",
            "An agent's own command, or a script that it started, restarted the unit it runs in. systemd then ends the caller with everything else in the cgroup, in the middle of its work; with KillMode=process the old gateway may stay and hold the port.",
            "sudo logged the command in the unit's own cgroup (sure), or a systemctl of the unit outlived its stop (likely). A restart by an operator or by the gateway itself is logged elsewhere.",
            "Restart from outside, or out of band: `systemd-run --on-active=5 systemctl restart UNIT` from within.",
            "By itself it ends the caller once and restarts the gateway once; the loop of the field's reports needs a left-over process as well. `kill -HUP` is no reload: it ends the gateway.",
        ),
        Class::ChannelsSuppressed => (
            "the gateway runs without its channels",
            "After several unclean starts within five minutes (7.1 and later) the gateway starts without connecting channels and accounts. HTTP answers, and no message comes in or goes out.",
            "The process that logged it still runs.",
            "Mend what made it start so often, then restart it.",
            "\"200 and live\" says nothing about channels.",
        ),
        Class::GatewayOverlap => (
            "two gateways of a host share what each should have for itself",
            "They overwrite each other's sessions and configuration, and on most versions the start of one ends the other as stale.",
            "Two units that are enabled or running, on two ports, name one state directory, configuration or workspace. On one port they are duplicate-unit.",
            "Give each a profile of its own (`--profile NAME`), or its own OPENCLAW_STATE_DIR.",
            "",
        ),
        Class::ExpectationUnmet => (
            "an expectation of the inventory does not hold",
            "`expect:` states what should be there, and something else is.",
            "What could not be seen is not-permitted, not unmet.",
            "Correct the host, or the expectation.",
            "",
        ),
        Class::UnitWeak => (
            "settings of the unit let a fault run for ever",
            "Each setting that is named turns a small trouble into a long one: a loop that never ends, an old process that keeps the port, a stop that never comes to its end.",
            "What systemd has in force is judged, drop-ins included, not the text of the file.",
            "Change the settings, by a drop-in that the gateway's own installer does not overwrite.",
            "systemd's default is KillMode=control-group; `process` came from the gateway's own template up to 3.2. `Restart=on-failure` does restart on status 78: only RestartPreventExitStatus=78 prevents it.",
        ),
        Class::StartLimitUnreachable => (
            "the start limit can never be reached",
            "So many starts take longer than the interval in which they are counted, so a unit that fails loops for ever.",
            "Burst times delay is not less than the interval. The time that each failing start takes comes on top: even a limit that passes here may never be reached in practice.",
            "Raise StartLimitIntervalSec, or lower RestartSec: 10 starts in 300 s with a delay of 5 s works.",
            "RestartSec=10, StartLimitIntervalSec=60, StartLimitBurst=10 is often copied: ten starts take at least 100 s.",
        ),
        Class::UnitDrift => (
            "the unit on disk differs from what harden would render",
            "The drop-in that clawfleet wrote was changed, or the installed version of the gateway asks for other settings now.",
            "Only a unit that carries that drop-in can drift; one that was never hardened is judged by unit-weak.",
            "Compare, and render it again.",
            "",
        ),
        Class::DaemonReloadNeeded => (
            "files on disk are newer than what systemd loaded",
            "What stands in the unit's files is not in force. The next restart still uses the old settings.",
            "The manager says so itself (NeedDaemonReload).",
            "`systemctl daemon-reload`, in the manager that owns the unit.",
            "",
        ),
        Class::NoLinger => (
            "a user unit whose user does not linger",
            "The user's manager, and the gateway with it, ends with the user's last login, and does not start at boot.",
            "A unit of a user's manager that is enabled or runs, without a file of that user under /var/lib/systemd/linger.",
            "`loginctl enable-linger USER`.",
            "The gateway runs as long as somebody is logged in: it is fine in the test, and gone at night.",
        ),
        Class::SecretsReadable => (
            "every user of the host can read secrets",
            "Secrets and keys of the gateway can be read, or changed, by every account.",
            "A file that holds secrets has a mode for others, and every directory above it can be passed. A state directory of mode 0755 alone exposes nothing if its files are 0600: some versions leave it so.",
            "Take the rights away; where it was readable for long, renew the tokens.",
            "Units that were generated up to 3.2 carry the gateway's token in a file that everybody may read.",
        ),
        Class::VersionMismatch => (
            "the running gateway is older than what is installed",
            "The package was updated under a running process. It runs old code with new files around it, and changes at its next restart.",
            "The gateway names its own version and it is not the installed one (sure), or the package was written after the process began (likely).",
            "Restart it, at a time of your choosing.",
            "",
        ),
        Class::ClockSkew => (
            "the host's clock is wrong",
            "Secrets, certificates and schedules go by it, and log lines of different hosts cannot be compared.",
            "Compared with this machine's clock, the time that the answer travelled taken in the host's favour. If every host is off by the same, this machine is.",
            "Look at the host's time service.",
            "",
        ),
        Class::DiskLow => (
            "a file system that the gateway writes to is almost full",
            "The gateway's database, its log and the journal stop being written.",
            "Less is free than the inventory's share, or less than 200 MiB of a large one.",
            "See what takes the space.",
            "",
        ),
        Class::MemoryGrowth => (
            "the gateway takes more and more memory",
            "It will be killed for it some day, by the kernel or by its unit's limit, and everything that it does then is lost.",
            "Told from what earlier runs read, of one process that has run for 12.5 hours at least: the least that it had in the last quarter of the last day is more than the most that it had in the first quarter, by the inventory's share and by 100 MiB. Its first half hour does not count. A process that gives memory back between is not told of.",
            "See what it does (sessions, channels, plugins); restart it at a time of your choosing.",
            "Needs a history: runs at least every hour or so.",
        ),
        Class::Custom => (
            "one of the operator's own checks",
            "`checks` in the inventory or a folder of checks says what it is.",
            "A script that failed or hung is its own failure, and says nothing about the host.",
            "See the check's own explanation: `clawfleet check --list`.",
            "",
        ),
        Class::ConfigDrift => (
            "this host's openclaw.json differs from its peers'",
            "Most hosts of the same groups and the same unit agree on a setting, and this one does not.",
            "Two thirds must agree. A value that is each host's own, such as a token, has no majority and is not compared. Values that may be secrets are compared by a digest whose key is made for the run, and are never shown.",
            "Decide which is right.",
            "",
        ),
        Class::VersionDrift => (
            "this host's version differs from its peers'",
            "Most hosts of the same groups have another version installed.",
            "Compared is what is installed. Two thirds must agree.",
            "Update it, or put it into a group of its own.",
            "",
        ),
        Class::UnitDiffers => (
            "this host's unit differs from its peers'",
            "Most hosts of the same groups have other lines in the unit of that name.",
            "Compared are the settings of the file and its drop-ins, in the words of the file. Two thirds must agree.",
            "Decide which is right, and push it to all.",
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
