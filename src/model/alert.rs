//! What is told when something changes: incidents, each with all its hosts, and the alert that
//! carries those of one run. Plain data; who makes them remembers earlier runs, who sends them
//! knows services and their limits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Class, Severity, Summary, is_unsafe, nodeset, sanitize, shorten};

/// How many lines of evidence an incident keeps: more are not read in a message.
pub const MAX_EVIDENCE: usize = 8;

/// How long a line of evidence may be, in characters.
pub const MAX_LINE: usize = 300;

/// How long a command may be that a message shows, in characters. A longer one is left out: a
/// command that is cut is another command.
pub const MAX_COMMAND: usize = 700;

/// Why an incident is told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Somebody tries a channel. Nothing is wrong.
    Test,
    /// It was not there before.
    New,
    /// It was there, and is more severe now.
    Worsened,
    /// It comes and goes. Nothing more is told of it until that has ended.
    Flapping,
    /// Hosts cannot be looked at any more. What was wrong there counts as still wrong.
    NotObserved,
    /// It is still there, and was told some time ago.
    Reminder,
    /// It is over, on all of its hosts or on some.
    Recovered,
}

impl AlertKind {
    /// Every kind, the news before what is known.
    pub const ALL: [Self; 7] = [
        Self::Test,
        Self::New,
        Self::Worsened,
        Self::Flapping,
        Self::NotObserved,
        Self::Reminder,
        Self::Recovered,
    ];

    /// Returns its id, as the inventory and the JSON write it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::New => "new",
            Self::Worsened => "worsened",
            Self::Flapping => "flapping",
            Self::NotObserved => "not-observed",
            Self::Reminder => "reminder",
            Self::Recovered => "recovered",
        }
    }

    /// Returns the kind with that id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// One trouble, on all hosts that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Of one class in one fleet always the same, so that a receiver can put the messages of an incident together.
    pub id: String,
    /// Why it is told now.
    pub kind: AlertKind,
    /// The class's id: the contract's, or `custom/NAME`.
    pub class: String,
    /// How bad it is; how bad it was, where it is over.
    pub severity: Severity,
    /// How bad it was before, where that changed.
    pub was: Option<Severity>,
    /// The hosts that it is told of, by name.
    pub hosts: Vec<String>,
    /// Other hosts that have it still, and are known to.
    pub remaining: Vec<String>,
    /// What it is about, e.g. `openclaw-gateway.service (system)`; may be empty.
    pub subject: String,
    /// What it is, in one line.
    pub title: String,
    /// What shows it, at most [`MAX_EVIDENCE`] lines.
    pub evidence: Vec<String>,
    /// Classes that follow from it on the same hosts and go away with it.
    pub therefore: Vec<String>,
    /// What mends it: a command, or a sentence.
    pub remedy: Option<String>,
    /// A command to look further.
    pub look: Option<String>,
    /// When it was first seen.
    pub since: Option<Timestamp>,
    /// When it was first seen to be over.
    pub until: Option<Timestamp>,
}

impl Incident {
    /// Begins an incident; what is not given is empty.
    pub fn new(
        kind: AlertKind,
        class: impl Into<String>,
        severity: Severity,
        hosts: Vec<String>,
    ) -> Self {
        let class = class.into();
        Self {
            id: class.clone(),
            kind,
            class,
            severity,
            was: None,
            hosts,
            remaining: Vec::new(),
            subject: String::new(),
            title: String::new(),
            evidence: Vec::new(),
            therefore: Vec::new(),
            remedy: None,
            look: None,
            since: None,
            until: None,
        }
    }

    /// Makes every text printable and holds it to its bounds. What a host sent may be among them.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let line = |text: &str| shorten(&sanitize(text.trim()), MAX_LINE).into_owned();
        self.subject = line(&self.subject);
        self.title = line(&self.title);
        self.class = line(&self.class);
        let more = self.evidence.len().saturating_sub(MAX_EVIDENCE);
        self.evidence.truncate(if more > 0 {
            MAX_EVIDENCE - 1
        } else {
            MAX_EVIDENCE
        });
        for text in &mut self.evidence {
            *text = line(text);
        }
        if more > 0 {
            self.evidence.push(format!("… and {} more", more + 1));
        }
        self.therefore.truncate(MAX_EVIDENCE);
        for text in &mut self.therefore {
            *text = line(text);
        }
        for command in [&mut self.remedy, &mut self.look] {
            let fits =
                |text: &String| text.chars().count() <= MAX_COMMAND && !text.chars().any(is_unsafe);
            *command = command.take().filter(fits);
        }
        self
    }

    /// Where it stands in an alert: what is over last, the severe first, causes before
    /// consequences.
    fn rank(&self) -> (bool, std::cmp::Reverse<Severity>, usize, AlertKind) {
        let place = Class::ALL
            .iter()
            .position(|class| class.id() == self.class)
            .unwrap_or(Class::ALL.len());
        (
            self.kind == AlertKind::Recovered,
            std::cmp::Reverse(self.severity),
            place,
            self.kind,
        )
    }
}

/// How the fleet stands as a whole; the parts add up to `hosts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCounts {
    /// All that were checked.
    pub hosts: usize,
    /// Fine.
    pub ok: usize,
    /// Warnings only.
    pub warning: usize,
    /// Broken.
    pub critical: usize,
    /// Not seen, or not seen whole.
    pub not_observed: usize,
}

impl From<Summary> for AlertCounts {
    fn from(summary: Summary) -> Self {
        Self {
            hosts: summary.hosts,
            ok: summary.ok,
            warning: summary.warning,
            critical: summary.critical,
            not_observed: summary.not_observed,
        }
    }
}

/// What one run has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What the operator calls the fleet.
    pub fleet: String,
    /// The machine that clawfleet runs on.
    pub bastion: String,
    /// The run.
    pub run: String,
    /// When it was told.
    pub at: Timestamp,
    /// The incidents, root causes first.
    pub incidents: Vec<Incident>,
    /// How the fleet stands.
    pub counts: AlertCounts,
}

impl Alert {
    /// Puts root causes first, hosts in order, and holds every text to its bounds.
    #[must_use]
    pub fn arranged(mut self) -> Self {
        let name = |text: &str| shorten(&sanitize(text.trim()), 80).into_owned();
        self.fleet = name(&self.fleet);
        self.bastion = name(&self.bastion);
        self.run = name(&self.run);
        let incidents = std::mem::take(&mut self.incidents);
        self.incidents = incidents.into_iter().map(Incident::bounded).collect();
        for incident in &mut self.incidents {
            incident
                .hosts
                .sort_by(|a, b| nodeset::natural_cmp(a, b).then_with(|| a.cmp(b)));
            incident.hosts.dedup();
        }
        self.incidents.sort_by(|a, b| {
            let hosts = || match (a.hosts.first(), b.hosts.first()) {
                (Some(a), Some(b)) => nodeset::natural_cmp(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()).reverse(),
            };
            a.rank().cmp(&b.rank()).then_with(hosts)
        });
        self
    }
}

impl Serialize for Severity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_id(&word).ok_or_else(|| serde::de::Error::custom("no severity is called that"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn incident(kind: AlertKind, class: Class, hosts: &[&str]) -> Incident {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        Incident::new(kind, class.id(), class.severity(), hosts)
    }

    fn alert(incidents: Vec<Incident>) -> Alert {
        Alert {
            fleet: "claws\u{1b}[2J".into(),
            bastion: "b1".into(),
            run: "r1".into(),
            at: Timestamp::UNIX_EPOCH,
            incidents,
            counts: AlertCounts::default(),
        }
    }

    #[test]
    fn root_causes_come_first_and_what_is_over_last() {
        let told = alert(vec![
            incident(AlertKind::Recovered, Class::OrphanHoldsPort, &["VM9"]),
            incident(AlertKind::New, Class::UnitWeak, &["VM1"]),
            incident(AlertKind::NotObserved, Class::NotObserved, &["VM7"]),
            incident(AlertKind::New, Class::GatewayDown, &["VM3"]),
            incident(
                AlertKind::Reminder,
                Class::OrphanHoldsPort,
                &["VM10", "VM2"],
            ),
        ])
        .arranged();
        let order: Vec<&str> = told.incidents.iter().map(|it| it.class.as_str()).collect();
        assert_eq!(
            order,
            [
                "orphan-holds-port",
                "gateway-down",
                "not-observed",
                "unit-weak",
                "orphan-holds-port"
            ]
        );
        assert_eq!(told.incidents.first().unwrap().hosts, ["VM2", "VM10"]);
        assert!(!told.fleet.contains('\u{1b}'));
    }

    #[test]
    fn texts_are_held_to_their_bounds() {
        let mut one = incident(AlertKind::New, Class::GatewayDown, &["VM1"]);
        one.evidence = (0..20)
            .map(|n| format!("{n}\n{}", "x".repeat(999)))
            .collect();
        one.remedy = Some("x".repeat(MAX_COMMAND + 1));
        one.look = Some("clawfleet check \u{202e}VM1".into());
        let one = one.bounded();
        assert_eq!(one.evidence.len(), MAX_EVIDENCE);
        assert_eq!(one.evidence.last().unwrap(), "… and 13 more");
        let line = one.evidence.first().unwrap();
        assert!(line.chars().count() == MAX_LINE && !line.chars().any(is_unsafe));
        assert_eq!((one.remedy, one.look), (None, None));
    }

    #[test]
    fn an_alert_is_kept_as_it_was() {
        let mut one = incident(AlertKind::Worsened, Class::DiskLow, &["VM1"]);
        one.was = Some(Severity::Info);
        one.since = Some(Timestamp::UNIX_EPOCH);
        let told = alert(vec![one]);
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), told);
    }
}
