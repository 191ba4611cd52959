//! What is wrong with a configuration, for people and as JSON. It refuses to stop at the first error.

use std::fmt;

use serde::{Serialize, Serializer};

/// One error of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Error {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; none if the error is about the whole file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong, naming the object, the key and the value seen.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// All errors of a configuration in the file's order; never empty. Serialised as a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    origin: String,
    list: Vec<Error>,
}

impl Errors {
    /// The errors in the file's order.
    #[must_use]
    pub fn list(&self) -> &[Error] {
        &self.list
    }

    pub(super) fn new(origin: &str, list: Vec<Error>) -> Self {
        Self { origin: origin.to_owned(), list }
    }

    pub(super) fn of_file(origin: &str, message: impl Into<String>, help: &str) -> Self {
        let error = Error {
            file: origin.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            help: help.to_owned(),
        };
        Self::new(origin, vec![error])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}\n  help: {}", self.message, self.help)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.list {
            writeln!(f, "{error}")?;
        }
        let count = self.list.len();
        let noun = if count == 1 { "error" } else { "errors" };
        write!(f, "{count} {noun} in {}; nothing was changed", self.origin)
    }
}

impl std::error::Error for Error {}

impl std::error::Error for Errors {}

impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}
