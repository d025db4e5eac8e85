//! Whether one unit and its gateway are well: the question that a rollout asks before and after.

use super::ownership::Ownership;
use crate::model::{Facts, Gateway, HttpError, Unit, UnitScope};

/// How one unit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitHealth {
    /// Active, its process owns the port, and the gateway answers.
    Well {
        /// Its main process.
        main_pid: u32,
        /// How often its manager restarted it.
        n_restarts: u32,
    },
    /// Not well; it may be on its way.
    NotYet(String),
    /// Not well, and waiting does not help.
    Bad(String),
    /// It is stopped, and nobody wants it to run.
    Off,
    /// There is no such unit.
    Absent,
}

/// Tells how a unit does. A probe that could not see who holds the port finds no unit well.
pub fn unit_health(facts: &Facts, name: &str, scope: &UnitScope) -> UnitHealth {
    let found = facts.gateways.iter().find_map(|gateway| {
        let unit = gateway
            .units
            .iter()
            .find(|unit| unit.name == name && unit.scope == *scope && unit.exists())?;
        Some((gateway, unit))
    });
    let Some((gateway, unit)) = found else {
        return UnitHealth::Absent;
    };
    match unit.active_state.as_str() {
        "active" => active(facts, gateway, unit),
        "failed" => UnitHealth::Bad(format!(
            "the unit has failed ({}{})",
            unit.result,
            unit.exec_main_status
                .map(|status| format!(", status {status}"))
                .unwrap_or_default()
        )),
        "inactive" | "" if !unit.is_enabled() => UnitHealth::Off,
        "inactive" | "" => UnitHealth::NotYet("the unit is not active".into()),
        other => UnitHealth::NotYet(format!("the unit is {other} ({})", unit.sub_state)),
    }
}

fn active(facts: &Facts, gateway: &Gateway, unit: &Unit) -> UnitHealth {
    let ownership = Ownership::of(facts, gateway);
    if let Some(intruder) = ownership.intruder()
        && !ownership.manages(unit)
    {
        return UnitHealth::Bad(format!(
            "port {} is held by process {}, which is not the unit's",
            gateway.port, intruder.process.pid
        ));
    }
    match ownership.listening {
        Some(false) => {
            return UnitHealth::NotYet(format!("nobody listens on port {} yet", gateway.port));
        }
        None => return UnitHealth::NotYet("the sockets could not be seen".into()),
        Some(true) => {}
    }
    if !ownership.manages(unit) {
        return UnitHealth::NotYet(format!(
            "it could not be seen that the unit's process holds port {}",
            gateway.port
        ));
    }
    match &gateway.http.health {
        Some(Ok(_)) if gateway.http.is_gateway() => {}
        Some(Ok(answer)) => {
            return UnitHealth::NotYet(format!(
                "port {} answers {} and not as a gateway does",
                gateway.port, answer.status
            ));
        }
        Some(Err(error)) => return UnitHealth::NotYet(no_answer(gateway.port, error)),
        None => return UnitHealth::NotYet("its HTTP was not asked".into()),
    }
    UnitHealth::Well {
        main_pid: unit.main_pid,
        n_restarts: unit.n_restarts.unwrap_or(0),
    }
}

fn no_answer(port: u16, error: &HttpError) -> String {
    match error {
        HttpError::Refused => format!("port {port} refuses connections"),
        HttpError::NoAnswer { waited_ms } => {
            format!("port {port} does not answer within {waited_ms} ms")
        }
        HttpError::Broken(why) => format!("port {port} gives a broken answer: {why}"),
        HttpError::NotAsked(why) => format!("its HTTP could not be asked: {why}"),
    }
}
