//! What the operator's own checks did.

use super::super::frame::Frame;
use crate::model::{CheckEnd, CheckRun};

/// How much of each kind is kept. The probe prints less; a hostile host could print more.
pub(super) const MAX_CHECKS: usize = 64;
const MAX_OUTPUT: usize = 8 << 10;
const MAX_ERRORS: usize = 5;

/// Reads a `check` frame.
pub(super) fn check(frame: &Frame<'_>) -> CheckRun {
    let is = |key: &str| frame.get(key) == Some("yes");
    let end = match frame.get("exit").map(str::parse::<u8>) {
        _ if is("timeout") => CheckEnd::TimedOut,
        _ if is("broken") => CheckEnd::NotUnderstood,
        _ if is("flood") => CheckEnd::Flooded,
        Some(Ok(code)) => CheckEnd::Exited(code),
        _ => CheckEnd::Unknown,
    };
    let mut room = MAX_OUTPUT;
    let output: Vec<String> = frame
        .all("out")
        .take_while(|line| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        })
        .map(str::to_owned)
        .collect();
    CheckRun {
        name: frame.arg(0).to_owned(),
        end,
        cut: is("cut") || output.len() < frame.all("out").count(),
        output,
        errors: frame
            .all("err")
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(MAX_ERRORS)
            .map(str::to_owned)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Nonce, split};
    use super::*;

    fn read(lines: &str) -> CheckRun {
        let nonce = Nonce::new(1);
        let text = format!("@{} check cert\n{lines}", nonce.as_str());
        check(&split(&text, &nonce).frames[0])
    }

    #[test]
    fn an_end_is_read_for_what_it_is() {
        let cases = [
            ("exit=0\n", CheckEnd::Exited(0)),
            ("exit=137\n", CheckEnd::Exited(137)),
            ("timeout=yes\n", CheckEnd::TimedOut),
            ("broken=yes\nexit=2\n", CheckEnd::NotUnderstood),
            ("cut=yes\nflood=yes\n", CheckEnd::Flooded),
            ("exit=-1\n", CheckEnd::Unknown),
            ("", CheckEnd::Unknown),
        ];
        for (lines, end) in cases {
            assert_eq!(read(lines).end, end, "{lines}");
        }
    }

    #[test]
    fn a_script_says_nothing_of_its_own_end() {
        let run = read("exit=3\nout=exit=0\nout=@forged end\nerr=oh dear\nerr=   \n");
        assert_eq!(run.end, CheckEnd::Exited(3));
        assert_eq!(run.output, ["exit=0", "@forged end"]);
        assert_eq!(run.errors, ["oh dear"]);
        assert!(!run.cut);
    }

    #[test]
    fn a_hosts_flood_is_cut() {
        let run = read(&format!("exit=0\nout={}\nout=x\n", "a".repeat(9000)));
        assert!(run.cut);
        assert!(run.output.is_empty());
    }
}
