//! The difference between "it is not there" and "I could not look".

/// One thing that a probe tried to see on a host.
///
/// No check may read anything but `Known` and `Absent` as a statement about the host:
/// `Denied`, `Failed` and `NotCollected` mean that nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Observed<T> {
    /// It was seen, and this is what it said.
    Known(T),
    /// It was looked for and is not there.
    Absent,
    /// The login may not see it; the text says what was refused.
    Denied(String),
    /// Looking went wrong; the text says how.
    Failed(String),
    /// The probe did not get that far, or was not asked.
    #[default]
    NotCollected,
}

impl<T> Observed<T> {
    /// Returns what was seen, if it was.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the question was answered, with a value or with "not there".
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Known(_) | Self::Absent)
    }

    /// Returns why nothing is known, or `None` where something is.
    pub fn unknown_because(&self) -> Option<&str> {
        match self {
            Self::Known(_) | Self::Absent => None,
            Self::Denied(why) | Self::Failed(why) => Some(why),
            Self::NotCollected => Some("not collected"),
        }
    }
}
