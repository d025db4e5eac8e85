//! Who holds the port, and which unit manages that process.

use std::collections::BTreeMap;

use crate::model::{Facts, Gateway, Observed, Process, Seen, Unit, UnitScope};
use crate::probe::is_gateway_like;

/// A process that listens on the gateway port.
pub(super) struct Holder<'facts> {
    /// The process.
    pub(super) process: &'facts Process,
    /// The unit whose main process it is, or descends from.
    pub(super) managed_by: Option<&'facts Unit>,
    /// The unit whose cgroup it sits in.
    pub(super) cgroup_of: Option<&'facts Unit>,
    /// Whether it is a gateway, by name or by its HTTP answer.
    pub(super) is_gateway: bool,
}

/// All that is known of the port's holders.
pub(super) struct Ownership<'facts> {
    /// The visible ones.
    pub(super) holders: Vec<Holder<'facts>>,
    /// Whether a socket's holder could not be seen.
    pub(super) hidden_holders: bool,
    /// Whether anybody listens; `None` where that is not known.
    pub(super) listening: Option<bool>,
}

impl<'facts> Ownership<'facts> {
    pub(super) fn of(facts: &'facts Facts, gateway: &'facts Gateway) -> Self {
        let listeners = gateway.listeners.known();
        let mut holders: BTreeMap<u32, Holder<'facts>> = BTreeMap::new();
        let mut hidden_holders = false;
        for listener in listeners.into_iter().flatten() {
            let Observed::Known(pids) = &listener.pids else {
                hidden_holders = true;
                continue;
            };
            for process in pids.iter().filter_map(|pid| facts.process(*pid)) {
                holders
                    .entry(process.pid)
                    .or_insert_with(|| Holder::new(process, facts));
            }
        }
        let mut holders: Vec<_> = holders.into_values().collect();
        // With socket activation the manager holds the socket beside the service it passed it to.
        if holders.len() > 1 {
            holders.retain(|holder| !is_manager(holder.process));
        }
        // The HTTP question reaches one listener; with several different ones it does not say which.
        // A proxy's process for each address family is one and the same.
        let first = holders.first().map(|holder| holder.process.comm.clone());
        let alike = holders
            .iter()
            .all(|holder| Some(&holder.process.comm) == first.as_ref());
        if alike && gateway.http.is_gateway() {
            for holder in &mut holders {
                holder.is_gateway = true;
            }
        }
        Self {
            holders,
            hidden_holders,
            listening: listeners.map(|listeners| !listeners.is_empty()),
        }
    }

    /// Returns the holder that is at fault, if one is: a gateway that no unit manages, or anything
    /// else where no unit's gateway listens. A proxy that listens on another address of the same
    /// port, beside the unit's gateway, is none.
    pub(super) fn intruder(&self) -> Option<&Holder<'facts>> {
        let mut unmanaged = self
            .holders
            .iter()
            .filter(|holder| holder.managed_by.is_none());
        if self
            .holders
            .iter()
            .any(|holder| holder.managed_by.is_some())
        {
            unmanaged.find(|holder| holder.is_gateway)
        } else {
            unmanaged.next()
        }
    }

    /// Whether that unit manages a holder.
    pub(super) fn manages(&self, unit: &Unit) -> bool {
        self.holders.iter().any(|holder| {
            holder
                .managed_by
                .is_some_and(|manager| manager.scope == unit.scope && manager.name == unit.name)
        })
    }
}

impl<'facts> Holder<'facts> {
    fn new(process: &'facts Process, facts: &'facts Facts) -> Self {
        let managed_by = facts
            .units()
            .find(|unit| unit.main_pid != 0 && descends_from(facts, process, &[unit.main_pid]));
        let cgroup_of = facts.units().find(|unit| sits_in(&process.cgroup, unit));
        Self {
            process,
            managed_by,
            cgroup_of,
            is_gateway: is_gateway_like(process),
        }
    }
}

/// Whether a process is the system's manager. Only its id is no other process's to choose.
pub(super) fn is_manager(process: &Process) -> bool {
    process.pid == 1
}

/// Whether a process is one of these or has one of them among its ancestors. Parent 1 alone says
/// nothing: every system service's main process has it.
fn descends_from(facts: &Facts, process: &Process, ancestors: &[u32]) -> bool {
    let mut pid = process.pid;
    // A chain longer than this is no process tree but a forged one.
    for _ in 0..64 {
        if ancestors.contains(&pid) {
            return true;
        }
        match facts.process(pid) {
            Some(process) if process.ppid > 1 => pid = process.ppid,
            Some(process) => return ancestors.contains(&process.ppid),
            None => return false,
        }
    }
    false
}

/// Whether a cgroup path is the unit's, or below it. A stopped unit names no cgroup; its place is
/// then known from its name and scope.
fn sits_in(cgroup: &str, unit: &Unit) -> bool {
    if cgroup.is_empty() || unit.seen == Seen::FileOnly {
        return false;
    }
    let below = |root: &str| {
        cgroup == root
            || cgroup
                .strip_prefix(root)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    if !unit.control_group.is_empty() {
        return below(&unit.control_group);
    }
    match &unit.scope {
        UnitScope::System => below(&format!("/system.slice/{}", unit.name)),
        UnitScope::User { uid, .. } => {
            let manager = format!("/user.slice/user-{uid}.slice/user@{uid}.service/");
            cgroup
                .strip_prefix(&manager)
                .is_some_and(|rest| rest.split('/').any(|part| part == unit.name))
        }
    }
}

/// Whether a cgroup is a service's, as against a login session's or a manager's own.
pub(super) fn is_service_cgroup(cgroup: &str) -> bool {
    // Without a login manager, sessions and jobs stay in the cgroup of the daemon that began them.
    const HOSTS_SESSIONS: [&str; 7] = [
        "ssh.service",
        "sshd.service",
        "dropbear.service",
        "cron.service",
        "crond.service",
        "atd.service",
        "anacron.service",
    ];
    cgroup.rsplit('/').next().is_some_and(|last| {
        (last.ends_with(".service")
            && !last.starts_with("user@")
            && !last.starts_with("ssh@")
            && !HOSTS_SESSIONS.contains(&last))
            || last.starts_with("docker-")
    }) || ["docker", "libpod", "kubepods", "lxc", "machine.slice"]
        .iter()
        .any(|runtime| cgroup.contains(runtime))
}
