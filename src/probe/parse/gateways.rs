//! Which gateways a host has: those that the inventory names, and those that are found.
//!
//! A gateway is a port and all that has to do with it. A unit belongs to the port that its command
//! line or environment names, else to the one in its configuration, else to the service of its
//! name, else to the gateway's own default.

use super::super::is_gateway_like;
use crate::model::{
    Facts, Gateway, GatewayConfig, Listener, Observed, ScopeWanted, ServiceSpec, Unit, UnitScope,
};

/// Where a gateway listens that is told nothing.
const DEFAULT_PORT: u16 = 18_789;

type Configs = [(String, Observed<GatewayConfig>)];

/// Sorts what was seen by gateway.
pub(super) fn assemble(
    services: &[&ServiceSpec],
    units: Vec<Unit>,
    configs: &Configs,
    facts: &Facts,
) -> Vec<Gateway> {
    let mut gateways: Vec<Gateway> = Vec::new();
    for service in services {
        gateways.push(Gateway {
            port: service.port,
            named: Some(service.unit.clone()),
            ..Gateway::default()
        });
    }
    let (decided, mut open): (Vec<_>, Vec<_>) = units
        .into_iter()
        .map(|unit| (told_port(&unit, configs), unit))
        .partition(|(port, _)| port.is_some_and(|port| services.iter().any(|s| s.port == port)));
    for (port, unit) in decided {
        place(&mut gateways, port.unwrap_or(DEFAULT_PORT), unit);
    }
    // Those that are told nothing first: they are where they are expected.
    open.sort_by_key(|(told, _)| told.is_some());
    for (told, unit) in open {
        let service = services.iter().find(|service| wants(service, &unit));
        // The only unit of a service's name is the service's, wherever it listens: its operator
        // expects it on the service's port.
        let alone = |service: &&&ServiceSpec| {
            !gateways
                .iter()
                .any(|gateway| gateway.port == service.port && !gateway.units.is_empty())
        };
        let port = match (told, service) {
            (Some(port), service) => service.filter(alone).map_or(port, |service| service.port),
            (None, Some(service)) => service.port,
            (None, None) => DEFAULT_PORT,
        };
        place(&mut gateways, port, unit);
    }
    strays(&mut gateways, facts);
    for gateway in &mut gateways {
        gateway.listeners = match &facts.sockets {
            Observed::Known(all) => Observed::Known(
                all.iter()
                    .filter(|listener| listener.port == gateway.port)
                    .cloned()
                    .collect(),
            ),
            other => other.clone(),
        };
        let owner = services
            .iter()
            .find(|service| service.port == gateway.port)
            .and_then(|service| service.owner.as_deref());
        gateway.config = config_of(gateway, owner, configs, facts);
    }
    gateways
}

fn place(gateways: &mut Vec<Gateway>, port: u16, unit: Unit) {
    match gateways.iter_mut().find(|gateway| gateway.port == port) {
        Some(gateway) => gateway.units.push(unit),
        None => gateways.push(Gateway {
            port,
            units: vec![unit],
            ..Gateway::default()
        }),
    }
}

/// The port that the unit's command line, environment or configuration names.
fn told_port(unit: &Unit, configs: &Configs) -> Option<u16> {
    unit.port.or_else(|| {
        let path = &unit.file.as_ref()?.config_path;
        let (_, config) = configs.iter().find(|(known, _)| known == path)?;
        config.known()?.port.as_ref()?.parse().ok()
    })
}

/// Whether a unit is the one that a service of the inventory means.
fn wants(service: &ServiceSpec, unit: &Unit) -> bool {
    service.unit == unit.name
        && match (&unit.scope, service.scope) {
            (_, ScopeWanted::Auto) | (UnitScope::System, ScopeWanted::System) => true,
            (UnitScope::User { user, .. }, ScopeWanted::User) => {
                service.owner.as_ref().is_none_or(|owner| owner == user)
            }
            _ => false,
        }
}

/// A gateway that listens where no unit and no inventory expects one. Its side ports (the browser's
/// control, the inspector) make no gateway of their own.
fn strays(gateways: &mut Vec<Gateway>, facts: &Facts) {
    let Some(sockets) = facts.sockets.known() else {
        return;
    };
    let ports_of = |pid: u32| {
        sockets
            .iter()
            .filter(move |listener| holds(listener, pid))
            .map(|listener| listener.port)
    };
    for process in facts.processes.iter().filter(|one| is_gateway_like(one)) {
        let known =
            ports_of(process.pid).any(|port| gateways.iter().any(|gateway| gateway.port == port));
        let managed = gateways
            .iter()
            .flat_map(|gateway| &gateway.units)
            .any(|unit| unit.main_pid != 0 && [process.pid, process.ppid].contains(&unit.main_pid));
        if known || managed {
            continue;
        }
        if let Some(port) = ports_of(process.pid).min() {
            gateways.push(Gateway {
                port,
                ..Gateway::default()
            });
        }
    }
}

fn holds(listener: &Listener, pid: u32) -> bool {
    listener
        .pids
        .known()
        .is_some_and(|pids| pids.contains(&pid))
}

/// The configuration of the gateway that serves, or else of the unit that would.
fn config_of(
    gateway: &Gateway,
    owner: Option<&str>,
    configs: &Configs,
    facts: &Facts,
) -> Observed<GatewayConfig> {
    let listening = |unit: &&Unit| {
        gateway
            .listeners
            .known()
            .into_iter()
            .flatten()
            .any(|listener| {
                holds(listener, unit.main_pid)
                    || facts.processes.iter().any(|process| {
                        process.ppid == unit.main_pid && holds(listener, process.pid)
                    })
            })
    };
    let owned = |unit: &&Unit| matches!(&unit.scope, UnitScope::User { user, .. } if Some(user.as_str()) == owner);
    let units = || gateway.units.iter();
    let unit = units()
        .find(owned)
        .or_else(|| units().find(|unit| unit.main_pid != 0 && listening(unit)))
        .or_else(|| units().find(|unit| unit.claims_port()))
        .or_else(|| units().next());
    let path = unit
        .and_then(|unit| unit.file.as_ref())
        .map(|file| &file.config_path);
    let found = match path {
        Some(path) => configs.iter().find(|(known, _)| known == path),
        // No unit tells: then whoever listens does, by the owner of the socket.
        None => {
            let uid = gateway
                .listeners
                .known()
                .and_then(|listeners| listeners.first())
                .map(|listener| listener.uid);
            configs
                .iter()
                .find(|(_, config)| config.known().is_some_and(|config| Some(config.uid) == uid))
        }
    };
    found.map_or(Observed::NotCollected, |(_, config)| config.clone())
}
