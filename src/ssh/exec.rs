//! A command on a host, and what came of it.

use super::auth::{LoginPassword, Turn};

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The command line, for the login's shell.
    pub line: &'a str,
    /// Its standard input; the end of file follows.
    pub stdin: &'a str,
    /// What is said before the input may be sent, where the command becomes another user first.
    pub dialogue: Option<Dialogue<'a>>,
    /// How many bytes of standard output are kept; the command is cut off at more.
    pub stdout_cap: usize,
    /// How many bytes of standard error are kept; more are dropped.
    pub stderr_cap: usize,
}

/// How a command becomes another user: it may ask for a password, and says when it is through.
/// Both come on standard error, by words that only this run knows where the program lets us choose
/// them. Nothing is sent to a command that did neither: a password that nobody asked for would be
/// read by whatever runs there.
#[derive(Debug, Clone, Copy)]
pub struct Dialogue<'a> {
    /// What says that the program runs which may ask. A question before it is somebody else's.
    pub begin: &'a str,
    /// The question for the password.
    pub prompt: &'a str,
    /// What says that the other user runs and reads its input.
    pub ready: &'a str,
    /// The password, if there is one.
    pub password: Option<&'a LoginPassword>,
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
    /// What is read here for its input could not be.
    Unfed(String),
    /// The password was asked for again.
    WrongPassword,
    /// A password was asked for and there is none.
    PasswordWanted,
    /// A password was asked for, and ours was refused by too many other hosts to be tried again.
    PasswordWithheld,
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
    /// Whether the password was sent.
    pub password_sent: bool,
    /// Whether the command's input was asked for: from then on the other user runs.
    pub ready: bool,
}

impl ExecOutput {
    /// An output of a command that printed nothing.
    pub fn nothing(end: ExecEnd) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            end,
            password_sent: false,
            ready: false,
        }
    }
}

/// How much of what was said is looked at again, in bytes: longer than any prompt of ours.
const HEARD: usize = 512;

/// What the command said, as far as the dialogue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Nothing of ours.
    Nothing,
    /// Its question for the password.
    Question,
    /// Its word that it reads the input.
    Ready,
}

/// What is to be sent after the command said something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing.
    Nothing,
    /// The password, as a line.
    Password(String),
    /// The input.
    Input,
    /// Nothing any more: it ends so.
    End(ExecEnd),
}

/// A dialogue in progress.
pub(super) struct Conversation<'a> {
    dialogue: Dialogue<'a>,
    /// The end of what was said: a question may come in pieces.
    heard: Vec<u8>,
    begun: bool,
    turn: Option<Turn<'a>>,
    pub(super) password_sent: bool,
    pub(super) ready: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(dialogue: Dialogue<'a>) -> Self {
        Self {
            dialogue,
            heard: Vec::new(),
            begun: false,
            turn: None,
            password_sent: false,
            ready: false,
        }
    }

    fn recognise(&mut self, said: &[u8]) -> Heard {
        let keep = self.heard.len().saturating_sub(HEARD);
        self.heard.drain(..keep);
        self.heard.extend_from_slice(said);
        if contains(&self.heard, self.dialogue.ready.as_bytes()) {
            return Heard::Ready;
        }
        if !self.begun {
            let Some(end) = end_of(&self.heard, self.dialogue.begin.as_bytes()) else {
                return Heard::Nothing;
            };
            self.begun = true;
            self.heard.drain(..end);
        }
        if contains(&self.heard, self.dialogue.prompt.as_bytes()) || is_question(&self.heard) {
            self.heard.clear();
            Heard::Question
        } else {
            Heard::Nothing
        }
    }

    /// Takes what was said on standard error. Returns what is to be sent.
    pub(super) async fn hear(&mut self, said: &[u8]) -> Reply {
        // What the command says later is its own business.
        if self.ready {
            return Reply::Nothing;
        }
        match self.recognise(said) {
            Heard::Nothing => Reply::Nothing,
            Heard::Ready => {
                self.ready = true;
                self.note(true);
                Reply::Input
            }
            Heard::Question if self.password_sent => {
                self.note(false);
                Reply::End(ExecEnd::WrongPassword)
            }
            Heard::Question => {
                let Some(password) = self.dialogue.password else {
                    return Reply::End(ExecEnd::PasswordWanted);
                };
                let Some(mut turn) = password.turn().await else {
                    return Reply::End(ExecEnd::PasswordWithheld);
                };
                let line = format!("{}\n", turn.send().expose());
                self.turn = Some(turn);
                self.password_sent = true;
                Reply::Password(line)
            }
        }
    }

    /// The command ended by itself, and this is what it said. A password that let nobody through
    /// was refused, unless the rules came after it: sudo tells those only who gave the right one.
    pub(super) fn ended(&mut self, said: &[u8]) {
        if self.password_sent && !self.ready {
            let rules = [
                "not in the sudoers",
                "is not allowed to",
                "may not run sudo",
            ];
            let accepted = rules.iter().any(|words| contains(said, words.as_bytes()));
            self.note(accepted);
        }
    }

    fn note(&mut self, accepted: bool) {
        match self.turn.take() {
            Some(turn) if accepted => turn.accepted(),
            Some(turn) => turn.refused(),
            None => {}
        }
    }
}

/// Whether what was said ends in a question for a password: a line without an end, in words that
/// PAM modules use instead of sudo's own.
fn is_question(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    let line = said.rsplit('\n').next().unwrap_or_default().trim_end();
    line.ends_with(':') && super::auth::asks_password(line)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    end_of(text, part).is_some()
}

/// Returns where a part of a text ends.
fn end_of(text: &[u8], part: &[u8]) -> Option<usize> {
    let mut windows = text.windows(part.len().max(1));
    let begin = windows.position(|window| window == part)?;
    Some(begin + part.len())
}

/// Appends to a buffer up to its cap. Returns whether all of it fitted.
pub(super) fn append_capped(buffer: &mut Vec<u8>, data: &[u8], cap: usize) -> bool {
    let room = cap.saturating_sub(buffer.len());
    buffer.extend_from_slice(data.get(..room).unwrap_or(data));
    data.len() <= room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn with(password: Option<&LoginPassword>) -> Conversation<'_> {
        Conversation::new(Dialogue {
            begin: "BEGIN-1",
            prompt: "ASK-1:",
            ready: "READY-1",
            password,
        })
    }

    #[tokio::test]
    async fn a_password_is_sent_once_and_only_to_its_own_question() {
        let password = || Reply::Password("x\n".to_owned());
        let end = |end| Reply::End(end);
        let cases: [(bool, &[&str], Vec<Reply>); 9] = [
            (true, &["READY-1\n"], vec![Reply::Input]),
            (
                true,
                &["lecture\nAS", "K-1:", "\nREADY-1\n"],
                vec![Reply::Nothing, password(), Reply::Input],
            ),
            (
                true,
                &["ASK-1:", "\nSorry.\nASK-1:"],
                vec![password(), end(ExecEnd::WrongPassword)],
            ),
            (false, &["ASK-1:"], vec![end(ExecEnd::PasswordWanted)]),
            (true, &["LDAP Password: "], vec![password()]),
            (true, &["Verification code: "], vec![Reply::Nothing]),
            (true, &["Password policy: long\n"], vec![Reply::Nothing]),
            (
                true,
                &["ASK-2:", "READY-2"],
                vec![Reply::Nothing, Reply::Nothing],
            ),
            (
                true,
                &["READY-1", "ASK-1:"],
                vec![Reply::Input, Reply::Nothing],
            ),
        ];
        for (has_one, said, wanted) in cases {
            let secret = LoginPassword::new(Secret::new("x".to_owned()));
            let mut conversation = with(has_one.then_some(&secret));
            let mut replies = Vec::new();
            assert_eq!(conversation.hear(b"BEGIN-1\n").await, Reply::Nothing);
            for said in said {
                replies.push(conversation.hear(said.as_bytes()).await);
            }
            assert_eq!(replies, wanted, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_password_that_lets_nobody_through_is_given_up_after_two_hosts() {
        let secret = LoginPassword::new(Secret::new("x".to_owned()));
        for _ in 0..2 {
            let mut conversation = with(Some(&secret));
            assert!(matches!(
                conversation.hear(b"BEGIN-1\nASK-1:").await,
                Reply::Password(_)
            ));
            conversation.ended(b"\nSorry, try again.\n");
        }
        let third = with(Some(&secret)).hear(b"BEGIN-1\nASK-1:").await;
        assert_eq!(third, Reply::End(ExecEnd::PasswordWithheld));
    }

    #[tokio::test]
    async fn what_asks_before_the_program_runs_gets_nothing() {
        let secret = LoginPassword::new(Secret::new("x".to_owned()));
        let mut conversation = with(Some(&secret));
        for said in ["ASK-1:", "Password: ", "\nPassword: "] {
            assert_eq!(conversation.hear(said.as_bytes()).await, Reply::Nothing);
        }
        let asked = conversation.hear(b"\nBEGIN-1\nPassword: ").await;
        assert!(matches!(asked, Reply::Password(_)));
    }

    #[tokio::test]
    async fn a_right_password_without_a_rule_is_no_wrong_password() {
        let secret = LoginPassword::new(Secret::new("x".to_owned()));
        for _ in 0..5 {
            let mut conversation = with(Some(&secret));
            assert!(matches!(
                conversation.hear(b"BEGIN-1\nASK-1:").await,
                Reply::Password(_)
            ));
            conversation.ended(b"op is not in the sudoers file.\n");
        }
    }

    #[tokio::test]
    async fn noise_before_a_question_is_not_kept() {
        let mut conversation = with(None);
        for _ in 0..1000 {
            conversation.hear(&[b'x'; 100]).await;
        }
        assert!(conversation.heard.len() <= HEARD + 100);
    }
}
