//! Takes Rust source apart far enough to search it: what is code, what is comment, what is compiled for tests only.
//!
//! Refuses to understand more than that. It never fails: what it does not understand it passes on as code.

use std::ops::Range;

/// A source file as texts that have the same lines as the file: what does not belong to a text is blank there. String
/// and character literals belong to none.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) code: String,
    /// The code without modules behind `#[cfg(test)]`.
    pub(super) program: String,
    pub(super) comments: String,
}

#[derive(Clone, Copy)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub(super) fn parse(text: &str) -> Source {
        let mut source = Source::default();
        let mut rest = text;
        // What the last character of code was: tells `r"` from the end of a name before a string.
        let mut previous = ' ';
        while let Some(first) = rest.chars().next() {
            let (part, length) = next_part(rest, first, previous);
            let (token, after) = rest.split_at(length);
            source.push(token, part);
            previous = token.chars().next_back().unwrap_or(' ');
            rest = after;
        }
        source.program = without_tests(&source.code);
        source
    }

    fn push(&mut self, token: &str, part: Part) {
        for character in token.chars() {
            let blank = if character == '\n' { '\n' } else { ' ' };
            let (code, comment) = match part {
                Part::Code => (character, blank),
                Part::Comment => (blank, character),
                Part::Literal => (blank, blank),
            };
            self.code.push(code);
            self.comments.push(comment);
        }
    }
}

/// What begins at the start of `rest`, and how many bytes it takes.
fn next_part(rest: &str, first: char, previous: char) -> (Part, usize) {
    if rest.starts_with("//") {
        return (Part::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Part::Comment, block_comment(rest));
    }
    let in_name = previous.is_alphanumeric() || previous == '_';
    if !in_name && let Some(length) = raw_string(rest) {
        return (Part::Literal, length);
    }
    match first {
        '"' => (Part::Literal, until_quote(rest, '"')),
        '\'' => character(rest).map_or((Part::Code, 1), |length| (Part::Literal, length)),
        _ => (Part::Code, first.len_utf8()),
    }
}

/// Length of the comment that `rest` begins with; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of the raw string, as in `r#".."#` or `br".."`, that `rest` begins with.
fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let content = body.trim_start_matches('#');
    let hashes = &body[..body.len() - content.len()];
    let content = content.strip_prefix('"')?;
    let end = content.find(&format!("\"{hashes}")).map_or(content.len(), |at| at + 1 + hashes.len());
    Some(rest.len() - content.len() + end)
}

/// Length of the literal that begins at the start of `rest` and ends with an unescaped `quote`.
fn until_quote(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of the character literal that `rest` begins with; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        return Some(until_quote(rest, '\''));
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 1)
}

/// `code` with the modules behind `#[cfg(test)]` blank.
fn without_tests(code: &str) -> String {
    let mut lines: Vec<&str> = code.lines().collect();
    for start in 0..lines.len() {
        if let Some(module) = test_module(&lines, start) {
            lines[module].fill("");
        }
    }
    lines.join("\n")
}

/// The lines of the module whose `#[cfg(test)]` is line `start`; relies on rustfmt's layout, where the closing brace
/// stands alone.
fn test_module(lines: &[&str], start: usize) -> Option<Range<usize>> {
    let attribute = lines[start];
    if attribute.trim() != "#[cfg(test)]" {
        return None;
    }
    let closing = attribute.replace("#[cfg(test)]", "}");
    let opening = start + lines[start..].iter().position(|line| !line.trim_start().starts_with("#["))?;
    if !lines[opening].trim_end().ends_with('{') {
        return None;
    }
    let length = lines[opening..].iter().position(|line| *line == closing);
    Some(start..length.map_or(lines.len(), |length| opening + length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = Source::parse(
            "let a = \"aya::x // \\\" y\"; // aya::z\nlet c = '\\''; /* a /* b */ c */ done();\n",
        );
        assert!(!source.code.contains("aya"));
        assert!(source.comments.contains("aya::z"));
        assert!(!source.comments.contains("aya::x"));
        assert!(source.code.contains("done();"));
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        let source = Source::parse("f(r#\"a \" aya \"#); g(br\"\\\"); bar\"x\" done(r##\"\"# aya\"##, ok)");
        assert!(!source.code.contains("aya"));
        assert!(source.code.contains("g("));
        assert!(source.code.contains("done("));
        assert!(source.code.ends_with(", ok)"));
    }

    #[test]
    fn lifetimes_are_code() {
        let source = Source::parse("fn f<'a>(x: &'a str) -> &'a str { g('a', 'é', 'b') }");
        assert!(source.code.contains("fn f<'a>(x: &'a str) -> &'a str { g("));
        assert!(!source.code.contains('é'));
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "//! One.\n\nlet a = \"x\ny\";\nlet b = 1;\n";
        let source = Source::parse(text);
        for part in [&source.code, &source.program, &source.comments] {
            assert_eq!(part.lines().count(), text.lines().count());
        }
        assert_eq!(source.program.lines().nth(4), Some("let b = 1;"));
    }

    #[test]
    fn test_modules_are_left_out() {
        let text =
            "a();\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nc();\n#[cfg(test)]\nmod more;\nd();\n";
        let source = Source::parse(text);
        assert!(["a();", "c();", "d();"].iter().all(|call| source.program.contains(call)));
        assert!(!source.program.contains("fn b()"));
        assert!(source.code.contains("fn b()"));
        assert_eq!(source.program.lines().nth(6), Some("c();"));
    }

    #[test]
    fn unfinished_source_does_not_trouble_it() {
        for text in ["\"", "'", "'\\", "r#\"", "/*", "#[cfg(test)]", "#[cfg(test)]\nmod t {", "b'", "é'é"] {
            assert_eq!(Source::parse(text).code.chars().count(), text.chars().count());
        }
    }
}
