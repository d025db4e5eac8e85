//! `check --format ndjson`: lines on stdout while hosts are still asked.

use std::io::{self, Write as _};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::error::CliError;
use crate::model::{HostReport, Report};
use crate::report::EventLines;

/// Lines on their way. They are written by a thread of their own: a reader who is slow must not make
/// hosts seem slow.
pub(super) struct Stream {
    lines: EventLines,
    to: Sender<String>,
    writer: JoinHandle<io::Result<()>>,
}

impl Stream {
    /// For a run of that many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        let (to, from) = channel::<String>();
        let writer = std::thread::spawn(move || {
            let mut stdout = io::stdout();
            for line in from {
                // Whole lines, each as soon as it is there.
                stdout.write_all(line.as_bytes())?;
                stdout.flush()?;
            }
            Ok(())
        });
        Self {
            lines: EventLines::new(hosts),
            to,
            writer,
        }
    }

    /// The run begins.
    pub(super) fn start(&mut self, at: jiff::Timestamp) {
        let line = self.lines.started(at);
        self.send(line);
    }

    /// A host is done.
    pub(super) fn host(&mut self, index: usize, host: &HostReport) {
        let line = self.lines.host(index, host);
        self.send(line);
    }

    /// Writes the rest and waits until it is written.
    pub(super) fn finish(mut self, report: &Report) -> Result<(), CliError> {
        let rest = self.lines.finished(report);
        self.send(rest);
        drop(self.to);
        match self.writer.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(CliError::OutputClosed)
            }
            Ok(Err(error)) => Err(CliError::Machine(format!("stdout: {error}"))),
            Err(_) => Err(CliError::Machine("stdout: the writer ended".into())),
        }
    }

    /// A writer that ended is told of at the end: the run itself goes on, for its files.
    fn send(&self, line: Result<String, serde_json::Error>) {
        match line {
            Ok(line) => {
                let _ = self.to.send(line);
            }
            Err(error) => tracing::error!(%error, "a line could not be made"),
        }
    }
}
