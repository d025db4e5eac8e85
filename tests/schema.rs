//! The JSON Schemas that are checked in are those that the program writes by.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clawfleet::report::{
    changes_schema, event_schema, history_diff_schema, history_runs_schema, history_schema,
    plan_schema, rollout_schema, run_host_schema, run_schema, run_summary_schema, runs_schema,
    schedule_schema, schema,
};

fn is_up_to_date(name: &str, schema: &str) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema");
    let path = format!("{dir}/{name}.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, schema).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        checked_in, schema,
        "run `UPDATE_SCHEMA=1 cargo test --test schema` and read the difference"
    );
}

#[test]
fn the_schema_is_up_to_date() {
    is_up_to_date("report", &schema().unwrap());
}

#[test]
fn the_schema_of_alerts_is_up_to_date() {
    is_up_to_date("alert", &clawfleet::notify::alert_schema().unwrap());
}

#[test]
fn the_schema_of_changes_is_up_to_date() {
    is_up_to_date("changes", &changes_schema().unwrap());
}

#[test]
fn the_schema_of_schedules_is_up_to_date() {
    is_up_to_date("schedule", &schedule_schema().unwrap());
}

#[test]
fn the_schema_of_events_is_up_to_date() {
    is_up_to_date("event", &event_schema().unwrap());
}

#[test]
fn the_schemas_of_plans_and_rollouts_are_up_to_date() {
    is_up_to_date("plan-report", &plan_schema().unwrap());
    is_up_to_date("rollout", &rollout_schema().unwrap());
    is_up_to_date("runs", &runs_schema().unwrap());
}

#[test]
fn the_schema_of_runs_of_a_command_is_up_to_date() {
    is_up_to_date("run", &run_schema().unwrap());
    is_up_to_date("run-host", &run_host_schema().unwrap());
    is_up_to_date("run-summary", &run_summary_schema().unwrap());
}

#[test]
fn the_schemas_of_the_history_are_up_to_date() {
    is_up_to_date("history", &history_schema().unwrap());
    is_up_to_date("history-runs", &history_runs_schema().unwrap());
    is_up_to_date("history-diff", &history_diff_schema().unwrap());
}
