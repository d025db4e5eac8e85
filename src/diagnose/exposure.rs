//! What others can reach or read: the port, the inspector, the files with secrets.

use crate::model::{
    Class, Confidence, Evidence, Facts, Finding, Gateway, Listener, Process, Subject, UnitScope,
};
use crate::probe::is_gateway_like;

/// Where Node's inspector listens unless it is told otherwise.
const INSPECTOR: u16 = 9229;

/// Checks one gateway.
pub(super) fn check(facts: &Facts, gateway: &Gateway) -> Vec<Finding> {
    without_auth(facts, gateway)
        .into_iter()
        .chain(secrets(facts, gateway))
        .collect()
}

/// A gateway that listens beyond loopback and asks nobody who they are. A proxy in front of it may
/// well ask, so only the gateway's own sockets count.
fn without_auth(facts: &Facts, gateway: &Gateway) -> Option<Finding> {
    let config = gateway.config.known()?;
    if config.auth_mode.as_deref() != Some("none") {
        return None;
    }
    let open: Vec<(&Listener, &Process)> = gateway
        .listeners
        .known()?
        .iter()
        .filter(|listener| !listener.address.to_canonical().is_loopback())
        .filter_map(|listener| Some((listener, holder(facts, listener)?)))
        .collect();
    if open.is_empty() {
        return None;
    }
    let mut evidence: Vec<_> = open
        .iter()
        .map(|(listener, process)| Evidence::ListensAt {
            pid: process.pid,
            address: listener.address,
            port: listener.port,
        })
        .collect();
    evidence.push(Evidence::ConfigSays {
        path: config.path.clone(),
        key: "gateway.auth.mode",
        value: "none".into(),
    });
    Some(Finding::new(
        Class::BindWithoutAuth,
        Subject::Port(gateway.port),
        evidence,
    ))
}

/// The gateway's process that holds a socket.
fn holder<'a>(facts: &'a Facts, listener: &Listener) -> Option<&'a Process> {
    let pids = listener.pids.known()?;
    pids.iter()
        .filter_map(|pid| facts.process(*pid))
        .find(|process| {
            is_gateway_like(process)
                || facts
                    .units()
                    .any(|unit| unit.main_pid != 0 && unit.main_pid == process.pid)
        })
}

/// The inspector lets whoever reaches it run code as the gateway. On 9.6 a stray SIGUSR1 opens it.
pub(super) fn inspector(facts: &Facts) -> Vec<Finding> {
    let sockets = facts.sockets.known().into_iter().flatten();
    let mut findings: Vec<Finding> = Vec::new();
    for listener in sockets {
        let Some(process) = holder(facts, listener) else {
            continue;
        };
        let told = process.argv.iter().any(|arg| {
            arg.starts_with("--inspect") && arg.ends_with(&format!("{}", listener.port))
        });
        if listener.port != INSPECTOR && !told {
            continue;
        }
        let evidence = Evidence::ListensAt {
            pid: process.pid,
            address: listener.address,
            port: listener.port,
        };
        match findings
            .iter_mut()
            .find(|finding| finding.subject == Subject::Port(listener.port))
        {
            Some(finding) => finding.evidence.push(evidence),
            None => findings.push(Finding::new(
                Class::DebugPortOpen,
                Subject::Port(listener.port),
                vec![evidence],
            )),
        }
    }
    findings
}

/// Files that hold secrets and that others than their owner can read or write, all directories on
/// the way to them included: a file that nobody can reach is safe whatever its own mode says.
fn secrets(facts: &Facts, gateway: &Gateway) -> Option<Finding> {
    let config = gateway.config.known().map(|config| config.path.as_str());
    let mut dirs: Vec<&str> = gateway
        .units
        .iter()
        .filter_map(|unit| unit.file.as_ref())
        .map(|file| file.state_dir.as_str())
        .collect();
    dirs.extend(config.and_then(|path| Some(path.rsplit_once('/')?.0)));
    let inside = |path: &str| {
        // Only these files of the state directory hold secrets.
        const SECRET: [&str; 5] = [
            "/openclaw.json",
            "/.env",
            "/credentials",
            "/auth-profiles.json",
            "/device.json",
        ];
        dirs.iter().any(|dir| path.starts_with(dir))
            && SECRET.iter().any(|name| path.ends_with(name))
    };
    let unit_file = |path: &str| {
        gateway
            .units
            .iter()
            .filter_map(|unit| unit.file.as_ref())
            .any(|file| {
                file.secret_inside
                    && (file.path == path || file.dropins.iter().any(|one| one == path))
            })
    };
    let mut owners: Vec<u32> = gateway
        .config
        .known()
        .map(|config| config.uid)
        .into_iter()
        .collect();
    for unit in &gateway.units {
        if unit.file.as_ref().is_some_and(|file| file.secret_inside) {
            owners.push(match unit.scope {
                UnitScope::System => 0,
                UnitScope::User { uid, .. } => uid,
            });
        }
    }
    let evidence: Vec<_> = facts
        .modes
        .iter()
        .filter(|file| {
            config == Some(file.path.as_str()) || inside(&file.path) || unit_file(&file.path)
        })
        // A path may lead to another's file: only its owner's own are told, and root's of a system unit.
        .filter(|file| owners.contains(&file.uid))
        .filter(|file| exposed(facts, &file.path, file.mode))
        .map(|file| Evidence::Mode {
            path: file.path.clone(),
            mode: file.mode,
            uid: file.uid,
        })
        .collect();
    let Some(Evidence::Mode { path, .. }) = evidence.first() else {
        return None;
    };
    Some(Finding {
        confidence: Confidence::High,
        ..Finding::new(
            Class::SecretsReadable,
            Subject::Path(path.clone()),
            evidence,
        )
    })
}

/// Whether every user can read or write a file. A group's right is left out: most systems give each
/// user a group of its own, and who else is in one is not known.
fn exposed(facts: &Facts, path: &str, mode: u32) -> bool {
    if mode & 0o006 == 0 {
        return false;
    }
    let mut dir = path;
    while let Some((above, _)) = dir.rsplit_once('/') {
        if above.is_empty() {
            return true;
        }
        match facts.mode(above) {
            Some(found) if found.mode & 0o001 != 0 => dir = above,
            _ => return false,
        }
    }
    true
}
