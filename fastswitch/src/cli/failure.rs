//! How a command fails: what is printed, and the exit code.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::control::wire::Response;
use crate::engine::StartError;
use crate::telemetry::Log;

/// A command that came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    reasons: Vec<String>,
    usage: bool,
    /// Nothing is left to say.
    said: bool,
    /// Where it is printed, instead of plainly to standard error.
    log: Option<Log>,
}

impl Failure {
    /// Exit code 1.
    pub(super) fn failed(error: impl fmt::Display) -> Self {
        Self { message: error.to_string(), reasons: Vec::new(), usage: false, said: false, log: None }
    }

    /// Exit code 2.
    pub(super) fn usage(error: impl fmt::Display) -> Self {
        Self { message: error.to_string(), reasons: Vec::new(), usage: true, said: false, log: None }
    }

    /// Exit code 1, after the answer has said everything.
    pub(super) fn said() -> Self {
        Self { said: true, ..Self::failed("") }
    }

    /// What clap says, without its advice on usage.
    pub(super) fn arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = first.split_whitespace().collect();
        Self::usage(words.join(" ").trim_start_matches("error: "))
    }

    pub(super) fn start(error: StartError) -> Self {
        if error.is_configuration() { Self::usage(error) } else { Self::failed(error) }
    }

    /// The same, printed by the log's thread: a daemon ends whether or not anybody takes its last words.
    pub(super) fn through(self, log: Log) -> Self {
        Self { log: Some(log), ..self }
    }

    /// An answer other than the one hoped for.
    pub(super) fn response(response: Response) -> Self {
        match response {
            Response::Refused { message, reasons } => {
                Self { message, reasons, usage: false, said: false, log: None }
            }
            Response::Invalid { message } => Self::usage(message),
            Response::Done { message } => Self::failed(format!("unexpected answer: {message}")),
            Response::Status(_) => Self::failed("unexpected answer: a status"),
        }
    }

    pub(super) fn is_usage(&self) -> bool {
        self.usage
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }

    pub(super) fn print(&self, json: bool) {
        if self.said {
            return;
        }
        let text = if json {
            serde_json::json!({ "error": self.message, "reasons": self.reasons }).to_string()
        } else {
            self.to_string()
        };
        match &self.log {
            Some(log) => log.say(&text),
            // There is nowhere left to say that standard error cannot be written; the exit code remains.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fastswitch: {}", self.message)?;
        self.reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))
    }
}
