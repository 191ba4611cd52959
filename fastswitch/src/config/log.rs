//! Collects errors at byte offsets while a configuration is read; turns offsets into lines and columns at the end.

use std::cell::RefCell;

use super::errors::{Error, Errors};

/// Proof that an error was put into the [`Log`], in place of the value that it spoilt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

/// A value, or nothing because of an error already reported.
pub(super) type Read<T> = Result<T, Reported>;

/// The errors found so far.
pub(super) struct Log<'a> {
    text: &'a str,
    origin: &'a str,
    line_starts: Vec<usize>,
    entries: RefCell<Vec<Entry>>,
}

struct Entry {
    at: usize,
    message: String,
    help: String,
    /// Others at the same place only follow from it.
    sole: bool,
}

impl<'a> Log<'a> {
    pub(super) fn new(text: &'a str, origin: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, origin, line_starts, entries: RefCell::default() }
    }

    /// Reports an error at byte `at`.
    pub(super) fn add(&self, at: usize, message: impl Into<String>, help: impl Into<String>) -> Reported {
        self.push(Entry { at, message: message.into(), help: help.into(), sole: false })
    }

    /// Reports an error from which any other at the same place would only follow: those are left out.
    pub(super) fn add_sole(&self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.push(Entry { at, message: message.into(), help: help.into(), sole: true });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// The line of byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// All errors in the file's order.
    pub(super) fn into_errors(self) -> Errors {
        let mut entries = self.entries.into_inner();
        entries.sort_by_key(|entry| (entry.at, !entry.sole));
        entries.dedup_by(|later, earlier| earlier.sole && later.at == earlier.at);
        let mut cursor = Cursor { rest: self.text.as_bytes(), at: 0, line: 1, column: 1 };
        let place = |entry: Entry| {
            cursor.advance(entry.at);
            Error {
                file: self.origin.to_owned(),
                line: Some(cursor.line),
                column: Some(cursor.column),
                message: entry.message,
                help: entry.help,
            }
        };
        Errors::new(self.origin, entries.into_iter().map(place).collect())
    }

    fn push(&self, entry: Entry) -> Reported {
        self.entries.borrow_mut().push(entry);
        Reported(())
    }
}

/// Walks the text once for all errors: counting afresh for each would take forever on one endless line.
struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
    line: usize,
    column: usize,
}

impl Cursor<'_> {
    fn advance(&mut self, to: usize) {
        let (passed, rest) = self.rest.split_at(to.saturating_sub(self.at).min(self.rest.len()));
        for byte in passed {
            match byte {
                b'\n' => (self.line, self.column) = (self.line + 1, 1),
                // The second to last bytes of a character.
                0x80..=0xbf => {}
                _ => self.column += 1,
            }
        }
        (self.rest, self.at) = (rest, self.at + passed.len());
    }
}
