//! L4: who is told. An alert is rendered for each channel, kept in the outbox, and delivered from
//! there: by HTTP, by SMTP or to a program. It never connects to a host of the fleet.
//!
//! `formats` says what a service wants and what its answer means, `words` what is said, `outbox` when
//! it is tried again: all three are pure. `http`, `smtp` and `command` send. `heartbeat` tells a watchdog of
//! runs: nothing of it is kept, for a late one is none.

mod channel;
mod command;
mod deliver;
mod formats;
mod heartbeat;
mod http;
mod net;
mod outbox;
mod sign;
mod smtp;
mod words;

pub use channel::{Channel, ChannelFault};
pub use deliver::{Bearings, Delivery, deliver, entries};
pub use formats::webhook::alert_schema;
pub use heartbeat::{Beat, Heartbeat, MAX_HEARTBEAT};
pub use http::Proxies;
pub use outbox::{MAX_AGE, Next, Outbox, Outcome, Rate};

use jiff::Timestamp;

use crate::model::{Alert, AlertCounts, AlertKind, Incident, Severity};

/// Makes an alert that tries a channel, and says so.
pub fn test_alert(fleet: &str, bastion: &str, run: &str, at: Timestamp) -> Alert {
    let mut incident = Incident::new(AlertKind::Test, "test", Severity::Info, Vec::new());
    incident.title = "This is a test of clawfleet's alerts. Nothing is wrong.".to_owned();
    incident.evidence = vec![
        "Evidence stands here, as the host sent it: <b>&amp; *stars* _lines_ [brackets](x) 网关"
            .to_owned(),
    ];
    incident.look = Some("clawfleet notify list".to_owned());
    Alert {
        fleet: fleet.to_owned(),
        bastion: bastion.to_owned(),
        run: run.to_owned(),
        at,
        incidents: vec![incident],
        counts: AlertCounts::default(),
    }
    .arranged()
}

/// Renders an alert for a channel, as it would be kept: the body without the parts that are put to it
/// when it is sent (signature, chat, sender and recipients).
pub fn render(target: &crate::model::Target, alert: &Alert, id: &str) -> String {
    formats::render(target, alert, id)
}
