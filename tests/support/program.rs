//! The program under test as a child process, with its output, its exit and its peak of memory.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A run that lasts longer than this is stuck, whatever the test allows it.
pub(crate) const STUCK: Duration = Duration::from_secs(40);

/// How often the peak of memory is sampled. The kernel's figure never falls, so a sample misses
/// only what was added since.
const SAMPLE: Duration = Duration::from_millis(10);

/// Makes the program's command: nothing of the caller's environment, a home of its own.
pub(crate) fn clawfleet(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clawfleet"));
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .current_dir(home);
    command
}

/// A program that runs.
pub(crate) struct Running {
    pid: Pid,
    begin: Instant,
    ended: Receiver<ExitStatus>,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    peak_kib: u64,
    cpu: Duration,
    open_files: usize,
}

/// A program that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
    /// The largest resident set that was seen, in KiB.
    pub(crate) peak_kib: u64,
    /// The processor time that it took, to a sample's precision.
    pub(crate) cpu: Duration,
    /// The most files that were seen open at once.
    pub(crate) open_files: usize,
}

/// Starts a program with nothing on its standard input.
pub(crate) fn start(mut command: Command) -> Running {
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    let pid = Pid::from_child(&child);
    let (tell, ended) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more where a test failed before the end.
        let _ = tell.send(child.wait().unwrap());
    });
    Running {
        pid,
        begin,
        ended,
        stdout,
        stderr,
        peak_kib: 0,
        cpu: Duration::ZERO,
        open_files: 0,
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: Command) -> Finished {
    start(command).finish()
}

/// Runs the program under test with these arguments.
pub(crate) fn run_with<S: AsRef<OsStr>>(
    home: &Path,
    args: impl IntoIterator<Item = S>,
) -> Finished {
    let mut command = clawfleet(home);
    command.args(args);
    run(command)
}

fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

impl Running {
    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        kill_process(self.pid, Signal::INT).unwrap();
    }

    /// Whether it still runs after that time.
    pub(crate) fn outlives(&mut self, time: Duration) -> bool {
        match self.ended.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => true,
            Ok(status) => panic!("it has ended already: {status}"),
            Err(RecvTimeoutError::Disconnected) => panic!("nobody waits for it"),
        }
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let status = loop {
            self.sample();
            match self.ended.recv_timeout(SAMPLE) {
                Ok(status) => break status,
                Err(RecvTimeoutError::Disconnected) => panic!("nobody waits for it"),
                Err(RecvTimeoutError::Timeout) if self.begin.elapsed() > STUCK => {
                    kill_process(self.pid, Signal::KILL).unwrap();
                    panic!(
                        "stuck for {STUCK:?}; stderr: {}",
                        text(self.stderr.join().unwrap())
                    );
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        Finished {
            code: status.code(),
            elapsed: self.begin.elapsed(),
            stdout: self.stdout.join().unwrap(),
            stderr: text(self.stderr.join().unwrap()),
            peak_kib: self.peak_kib,
            cpu: self.cpu,
            open_files: self.open_files,
        }
    }

    fn sample(&mut self) {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
        if let Some(cpu) = self.cpu_now() {
            self.cpu = cpu;
        }
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map(Iterator::count);
        self.open_files = self.open_files.max(files.unwrap_or(0));
    }

    /// User and system time, which the kernel tells in hundredths of a second.
    fn cpu_now(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name stands in brackets and may hold anything.
        let mut words = stat.rsplit(')').next()?.split_whitespace().skip(11);
        let user: u64 = words.next()?.parse().ok()?;
        let system: u64 = words.next()?.parse().ok()?;
        Some(Duration::from_millis((user + system) * 10))
    }
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Asserts the exit code, and that the program did not panic on its way.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.lossy(),
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Asserts that stderr, line breaks made blanks, holds all of these words.
    #[track_caller]
    pub(crate) fn complains(&self, words: &[&str]) -> &Self {
        let said = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(
                said.contains(word),
                "`{word}` is not in stderr: {}",
                self.stderr
            );
        }
        self
    }

    /// Asserts that nothing was printed on stdout.
    #[track_caller]
    pub(crate) fn prints_nothing(&self) -> &Self {
        assert_eq!(self.lossy(), "");
        self
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
