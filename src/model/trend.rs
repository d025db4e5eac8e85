//! What changed over days, for whoever draws it. It is filled from what was kept of earlier runs.

use jiff::Timestamp;

/// Series of several hosts, over the same days.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trends {
    /// A host each, in the order they are shown. A host without any point is left out where they are
    /// drawn.
    pub hosts: Vec<HostTrend>,
}

/// One host's series. Each is in the order of time and may be empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostTrend {
    /// Its name in the inventory.
    pub name: String,
    /// Restarts of its gateways in the 24 hours before each point.
    pub restarts: Vec<TrendPoint>,
    /// How long its gateway took to answer, in ms.
    pub latency_ms: Vec<TrendPoint>,
    /// How often it was looked for and observed.
    pub observed: Vec<SeenPoint>,
}

/// A number at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendPoint {
    /// When it was read.
    pub at: Timestamp,
    /// What was read, in the unit of its series, from 0 on. What is not finite is not drawn.
    pub value: f64,
}

/// How often something was looked for around a time, and how often it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenPoint {
    /// When it was looked for.
    pub at: Timestamp,
    /// How often.
    pub looks: u32,
    /// How often it was seen.
    pub seen: u32,
}

impl HostTrend {
    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.restarts.is_empty() && self.latency_ms.is_empty() && self.observed.is_empty()
    }
}
