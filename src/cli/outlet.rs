//! Standard output that does not hold the operator up: where nobody reads it and they want to stop, no more is
//! written.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::signals;
use crate::fleet::CancelLevel;

/// A pipe that has room takes so many bytes at once (`PIPE_BUF`).
const PIECE: usize = 4096;

/// How often the operator's wish is looked at while nobody reads, and how long a reader has who was asked to read on.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(500);

/// Standard output.
#[derive(Debug, Default)]
pub(super) struct Outlet;

impl Write for Outlet {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        let piece = data.get(..PIECE).unwrap_or(data);
        let mut wanted: Option<Instant> = None;
        loop {
            let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(LOOK.subsec_nanos()),
            };
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => {}
                Ok(_) => match rustix::io::write(&stdout, piece) {
                    Ok(written) => return Ok(written),
                    // A terminal or a pipe that somebody else set so.
                    Err(rustix::io::Errno::AGAIN) => std::thread::sleep(LOOK),
                    Err(error) => return Err(error.into()),
                },
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if signals::wish() != CancelLevel::Run {
                let since = *wanted.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
