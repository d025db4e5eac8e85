//! A restart that is asked for from within the gateway itself: an agent's command runs in the gateway's cgroup, and would
//! be ended with it in the middle of its work.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::context::Context;

/// Says that the program has left already.
const LEFT: &str = "CLAWFLEET_LEFT_THE_UNIT";

/// Services in which logins and jobs live; their end is not the gateway's.
const HOLD_SESSIONS: [&str; 6] = ["ssh", "sshd", "cron", "crond", "atd", "getty"];

/// Begins the program again in a scope of its own, where it runs inside a service's cgroup. It returns where it does not,
/// or where nobody lets it out: then the plan says that its session runs inside the unit.
pub(super) fn leave_the_unit(context: &Context) {
    if std::env::var_os(LEFT).is_some() {
        return;
    }
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let (Some(manager), Ok(program)) = (service_manager(&groups), std::env::current_exe()) else {
        return;
    };
    context.note("this session runs inside a service: going on in a scope of its own");
    let error = Command::new("systemd-run")
        .args([manager, "--scope", "--quiet", "--collect", "--"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(LEFT, "yes")
        .exec();
    context.note(&format!("systemd-run cannot be run: {error}"));
}

/// The option of `systemd-run` for the manager whose service a process is in, where it is in one.
fn service_manager(groups: &str) -> Option<&'static str> {
    let path = groups
        .lines()
        .filter_map(|line| {
            line.split_once("name=systemd:")
                .or_else(|| line.split_once("0::"))
        })
        .map(|(_, path)| path)
        .find(|path| *path != "/")?;
    let unit = path
        .rsplit('/')
        .find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    let name = unit.strip_suffix(".service")?;
    let name = name.split('@').next().unwrap_or(name);
    if HOLD_SESSIONS.contains(&name) || name == "user" {
        return None;
    }
    Some(if path.contains("/user@") {
        "--user"
    } else {
        "--system"
    })
}

#[cfg(test)]
mod tests {
    use super::service_manager;

    #[test]
    fn a_service_is_told_from_a_session() {
        for (groups, manager) in [
            (
                "0::/system.slice/openclaw-gateway.service\n",
                Some("--system"),
            ),
            (
                "0::/user.slice/user-1501.slice/user@1501.service/app.slice/openclaw-gateway.service\n",
                Some("--user"),
            ),
            ("0::/user.slice/user-0.slice/session-3.scope\n", None),
            (
                "0::/user.slice/user-1501.slice/user@1501.service/init.scope\n",
                None,
            ),
            ("0::/system.slice/ssh.service\n", None),
            ("0::/system.slice/cron.service\n", None),
            (
                "2:cpu:/\n1:name=systemd:/system.slice/a.service/sub\n0::/\n",
                Some("--system"),
            ),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(service_manager(groups), manager, "{groups}");
        }
    }
}
