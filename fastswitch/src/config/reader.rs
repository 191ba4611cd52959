//! Reads one table key by key: reports values that do not fit, and at the end the keys that nobody asked for.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::host::Host;
use super::log::{Log, Read, Reported};
use super::values::{Fault, seen, shown};
use super::words::meant;

/// A value and the byte where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// A table being read. Ends with [`Reader::finish`].
pub(super) struct Reader<'a, 'i> {
    log: &'a Log<'a>,
    host: Option<&'a dyn Host>,
    /// How messages call the object whose keys these are; empty for the file itself.
    object: String,
    /// What precedes the keys in messages, such as `heartbeat.`.
    prefix: String,
    at: usize,
    table: DeTable<'i>,
    asked: Vec<&'static str>,
}

impl<'a, 'i> Reader<'a, 'i> {
    /// Reads the whole file's table.
    pub(super) fn new(log: &'a Log<'a>, table: DeTable<'i>, host: Option<&'a dyn Host>) -> Self {
        Self { log, host, object: String::new(), prefix: String::new(), at: 0, table, asked: Vec::new() }
    }

    /// Names the object whose keys these are.
    pub(super) fn call(&mut self, object: String) {
        self.object = object;
        self.prefix.clear();
    }

    pub(super) fn object(&self) -> &str {
        &self.object
    }

    /// The machine that the file is for, if that is known.
    pub(super) fn host(&self) -> Option<&'a dyn Host> {
        self.host
    }

    /// The line of byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.log.line(at)
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text at `key`, if it is text: to name the object before its keys are checked.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.table.get(key).and_then(|value| value.get_ref().as_str())
    }

    /// Where the value of `key` stands, if there is one.
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.table.get(key).map(|value| value.span().start)
    }

    /// Reports an error at byte `at`; `problem` goes on after the name of the key.
    pub(super) fn error(&self, at: usize, key: &str, problem: &str, help: &str) -> Reported {
        let colon = if self.object.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}`{}{key}` {problem}", self.object, self.prefix);
        self.log.add(at, message, help)
    }

    /// The value of a key that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        decode: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Read<Option<At<T>>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        self.decode(key, &value, decode).map(Some)
    }

    /// The value of a key, or `default` without it.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: Read<T>,
        decode: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Read<T> {
        self.optional(key, decode)?.map_or(default, |given| Ok(given.value))
    }

    /// The value of a key that must be there; `example` shows how to write it.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        decode: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Read<At<T>> {
        self.optional(key, decode)?.ok_or_else(|| self.missing(key, example))
    }

    /// The elements of an array that must be there; each bad one is reported.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        decode: impl Fn(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Read<Vec<At<T>>> {
        let Some(value) = self.take(key) else { return Err(self.missing(key, example)) };
        let DeValue::Array(elements) = value.get_ref() else {
            let problem = format!("is {}, not a list", seen(value.get_ref()));
            return Err(self.error(value.span().start, key, &problem, &format!("write {example}")));
        };
        if elements.is_empty() {
            return Err(self.error(value.span().start, key, "is empty", &format!("write {example}")));
        }
        let elements: Vec<_> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.decode(&format!("{key}[{index}]"), element, &decode))
            .collect();
        elements.into_iter().collect()
    }

    /// A table within this one, for the same object; none if it is missing.
    pub(super) fn table(&mut self, key: &'static str) -> Read<Option<Reader<'a, 'i>>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => Ok(Some(self.inner(key, at, table))),
            other => {
                let help = format!("give its keys: `{key} = {{ .. }}` or `{key}.KEY = ..`");
                Err(self.error(at, key, &format!("is {}, not a table", seen(&other)), &help))
            }
        }
    }

    /// The tables written as `[[header]]`: at least one, at most `limit`; what is beyond is reported, not read.
    pub(super) fn tables(&mut self, key: &'static str, header: &str, limit: usize) -> Vec<Reader<'a, 'i>> {
        let Some(value) = self.take(key) else {
            let help = format!("add {header} with its keys");
            self.error(self.at, key, "is missing: at least one is needed", &help);
            return Vec::new();
        };
        let at = value.span().start;
        let help = format!("begin each one with a line {header}");
        let elements = match value.into_inner() {
            DeValue::Array(elements) if !elements.is_empty() => elements,
            other => {
                self.error(at, key, &format!("is {}, not a list of tables", seen(&other)), &help);
                return Vec::new();
            }
        };
        if let Some(first) = elements.get(limit) {
            let problem = format!("is given {} times, but there is room for {limit}", elements.len());
            self.error(first.span().start, key, &problem, "divide them among several gateways or services");
        }
        let mut readers = Vec::new();
        for element in elements.into_iter().take(limit) {
            let at = element.span().start;
            match element.into_inner() {
                DeValue::Table(table) => readers.push(self.inner(key, at, table)),
                other => {
                    self.error(at, key, &format!("has {}, not a table", seen(&other)), &help);
                }
            }
        }
        readers
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in &self.table {
            let name = key.get_ref();
            let help = match meant(name, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            self.error(key.span().start, &shown(name), "is not a key that this version knows", &help);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'i>>> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn inner(&self, key: &str, at: usize, table: DeTable<'i>) -> Reader<'a, 'i> {
        let prefix = format!("{}{key}.", self.prefix);
        Reader {
            log: self.log,
            host: self.host,
            object: self.object.clone(),
            prefix,
            at,
            table,
            asked: Vec::new(),
        }
    }

    fn decode<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        decode: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Read<At<T>> {
        let at = value.span().start;
        match decode(value.get_ref()) {
            Ok(value) => Ok(At { at, value }),
            Err(fault) => Err(self.error(at, key, &fault.problem, &fault.help)),
        }
    }

    fn missing(&self, key: &str, example: &str) -> Reported {
        self.error(self.at, key, "is missing", &format!("write {example}"))
    }
}
