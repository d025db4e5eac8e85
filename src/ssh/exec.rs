//! A command on a host, and what came of it.

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The command line, for the login's shell.
    pub line: &'a str,
    /// Its standard input; the end of file follows.
    pub stdin: &'a str,
    /// How many bytes of standard output are kept; the command is cut off at more.
    pub stdout_cap: usize,
    /// How many bytes of standard error are kept; more are dropped.
    pub stderr_cap: usize,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEnd {
    /// By itself, with that status.
    Exited(u32),
    /// By a signal.
    Signalled(String),
    /// It printed more than its cap.
    Capped,
    /// The deadline struck.
    TimedOut,
    /// The server would not run it.
    Refused(String),
    /// The channel or the connection ended without a status.
    Lost(String),
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output, at most its cap.
    pub stdout: Vec<u8>,
    /// Standard error, at most its cap.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub end: ExecEnd,
}

impl ExecOutput {
    /// An output of a command that printed nothing.
    pub fn nothing(end: ExecEnd) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            end,
        }
    }
}

/// Appends to a buffer up to its cap. Returns whether all of it fitted.
pub(super) fn append_capped(buffer: &mut Vec<u8>, data: &[u8], cap: usize) -> bool {
    let room = cap.saturating_sub(buffer.len());
    buffer.extend_from_slice(data.get(..room).unwrap_or(data));
    data.len() <= room
}
