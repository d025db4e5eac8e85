//! The machine under the gateway, and what it is meant to be.

use crate::model::{Class, Evidence, Facts, Finding, Gateway, Host, Observed, Role, Subject, Unit};
use crate::probe::is_gateway_like;

/// Below this size, in KiB, a file system's share alone says little: 5 % of a small tmpfs is what it is.
const LARGE_KIB: u64 = 2 << 20;

/// On a large file system less than this is little, whatever share it is, in KiB.
const LITTLE_KIB: u64 = 200 << 10;

/// Checks clock and disks.
pub(super) fn check(host: &Host, facts: &Facts) -> Vec<Finding> {
    clock(host, facts)
        .into_iter()
        .chain(disks(host, facts))
        .collect()
}

fn clock(host: &Host, facts: &Facts) -> Option<Finding> {
    let ahead_s = facts.system.clock_ahead_s?;
    let limit_s = host.thresholds.clock_skew.as_secs();
    (ahead_s.unsigned_abs() > limit_s).then(|| {
        Finding::new(
            Class::ClockSkew,
            Subject::Host,
            vec![Evidence::Clock { ahead_s, limit_s }],
        )
    })
}

fn disks(host: &Host, facts: &Facts) -> Vec<Finding> {
    let limit_percent = host.thresholds.disk_free_percent;
    let low = |size_kib: u64, free_kib: u64| {
        let share = free_kib.saturating_mul(100) < size_kib.saturating_mul(limit_percent.into());
        share || (limit_percent > 0 && size_kib > LARGE_KIB && free_kib < LITTLE_KIB)
    };
    facts
        .disks
        .iter()
        .filter(|disk| low(disk.size_kib, disk.free_kib))
        .map(|disk| {
            Finding::new(
                Class::DiskLow,
                Subject::Path(disk.mount.clone()),
                vec![Evidence::DiskFree {
                    mount: disk.mount.clone(),
                    free_kib: disk.free_kib,
                    size_kib: disk.size_kib,
                    limit_percent,
                }],
            )
        })
        .collect()
}

/// A gateway where the inventory expects none, or nothing of one where it expects one.
pub(super) fn role(host: &Host, facts: &Facts, gateway: &Gateway) -> Option<Finding> {
    let mut evidence = vec![Evidence::Expected {
        what: "role".into(),
        wanted: match host.role {
            Role::Gateway => "gateway".into(),
            Role::None => "none".into(),
        },
        found: match host.role {
            Role::Gateway => "no unit, no process and no configuration of a gateway".into(),
            Role::None => "a gateway".into(),
        },
    }];
    match host.role {
        Role::None => {
            evidence.extend(unexpected(facts, gateway));
            if evidence.len() == 1 {
                return None;
            }
        }
        Role::Gateway => {
            let nothing = facts.ownership_is_known()
                && facts.units_unseen.is_empty()
                && facts.system.login.sees_processes != Some(false)
                && facts.gateways.iter().all(|one| {
                    one.units.is_empty()
                        && one.listeners.known().is_some_and(Vec::is_empty)
                        && !matches!(one.config, Observed::Known(_) | Observed::Denied(_))
                })
                && !facts.processes.iter().any(is_gateway_like);
            if !nothing {
                return None;
            }
        }
    }
    Some(Finding::new(
        Class::RoleMismatch,
        Subject::Port(gateway.port),
        evidence,
    ))
}

fn unexpected(facts: &Facts, gateway: &Gateway) -> Vec<Evidence> {
    let holders = gateway.holders(facts).filter(|process| {
        is_gateway_like(process)
            || gateway
                .units
                .iter()
                .any(|unit| unit.main_pid == process.pid)
    });
    let mut evidence: Vec<Evidence> = Vec::new();
    for process in holders {
        let held = Evidence::PortHolder {
            port: gateway.port,
            process: process.clone(),
        };
        if !evidence.contains(&held) {
            evidence.push(held);
        }
    }
    evidence.extend(
        gateway
            .units
            .iter()
            .filter(|unit| Unit::claims_port(unit))
            .map(super::port::state),
    );
    evidence
}
