//! L4: what people and programs read. Every output is a function of the report; only the progress
//! display listens to events.

mod changes_view;
mod checks_view;
mod command_view;
mod csv;
mod events;
mod fix_view;
mod fold;
mod heartbeat_view;
mod history;
mod hosts_view;
mod html;
mod incident;
mod inventory_view;
mod json;
mod junit;
mod markdown;
mod nagios;
mod news;
mod plan_view;
mod progress;
mod prometheus;
mod rollout_view;
mod schedule_view;
mod style;
mod table;
mod text;
mod wire;
mod words;

pub use changes_view::render_changes;
pub use checks_view::{checks_json, checks_table, explain_check};
pub use command_view::{FoldedView, StreamedLines, write_command};
pub use csv::render_csv;
pub use events::{EventLines, render_ndjson};
pub use fix_view::render_before_after;
pub use heartbeat_view::render_heartbeat;
pub use history::{HistoryReport, RunDiff, render_history, render_kept_runs, render_run_diff};
pub use hosts_view::{enrolled, known, question, removed, shown_keys, unseen_hosts};
pub use html::{render_history_html, render_html};
pub use inventory_view::{connection_table, explain_all, explain_one, hosts_table, settings_table};
pub use json::{
    changes_schema, event_schema, history_diff_schema, history_runs_schema, history_schema,
    plan_schema, render_changes_json, render_history_json, render_json, render_kept_runs_json,
    render_plan_json, render_rollout_json, render_run_diff_json, render_runs_json, rollout_schema,
    run_host_schema, run_schema, run_summary_schema, runs_schema, schema, write_command_json,
    write_command_last, write_command_line,
};
pub use junit::render_junit;
pub use markdown::render_markdown;
pub use nagios::{NagiosState, render_nagios, render_nagios_fault};
pub use news::news;
pub use plan_view::{
    PlanGroup, PlanReport, groups as plan_groups, render_group, render_group_details, render_plan,
    render_plan_head,
};
pub use progress::Progress;
pub use prometheus::render_prometheus;
pub use rollout_view::{RolloutLines, RolloutReport, render_rollout, render_runs};
pub use schedule_view::{
    render_schedule_diff, render_schedules, render_schedules_json, schedule_schema,
};
pub use style::Style;
pub use table::{View, render_table};
pub use text::{sanitize, shorten};
pub use words::{FindingWords, finding_words};
