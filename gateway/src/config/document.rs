//! A configuration file as a tree in which every key and value knows its place in the text.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::interpolate::{self, Sources};
use super::problem::Problem;

/// Wrong sections reported at most; more would only scroll the first away.
const PROBLEMS_MAX: usize = 50;

/// One file: its text, and its tree with `${NAME}` and `file:` filled in.
pub(super) struct Document<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
    /// Values whose text in the file is not what they mean, so that no place inside them can be shown.
    filled_in: Vec<Range<usize>>,
}

impl<'a> Document<'a> {
    /// Parses `text` as TOML and fills in what its strings refer to.
    pub(super) fn parse(text: &'a str, sources: &Sources<'_>) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().take(PROBLEMS_MAX).map(|error| syntax(text, error)).collect());
        }
        let mut document = Self { text, root, filled_in: Vec::new() };
        let mut problems = Vec::new();
        let mut root = std::mem::take(document.root.as_mut());
        for (_, value) in &mut root {
            document.fill_in(value, sources, &mut problems);
        }
        *document.root.as_mut() = root;
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }

    /// Reads the tree as a `T`. Unknown keys are all reported, of other faults the first of each section:
    /// what `explain` makes of an error and the path of the value it is about.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        explain: impl Fn(&toml::de::Error, &Place) -> Problem,
    ) -> Result<T, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut root = self.root.clone();
        while problems.len() < PROBLEMS_MAX {
            let error = match T::deserialize(Deserializer::from(root.clone())) {
                Ok(read) if problems.is_empty() => return Ok(read),
                Ok(_) => break,
                Err(error) => error,
            };
            let span = error.span().unwrap_or_default();
            let place = place_in(root.get_ref(), &span).unwrap_or_default();
            problems.push(explain(&error, &place));
            if !remove(root.as_mut(), &place) {
                break;
            }
        }
        Err(problems)
    }

    /// Where the value at `path` is: names and positions joined by dots, such as `auth.tokens.0.id`. A table is
    /// shown by its name; of what the file does not say, the nearest part that it does.
    pub(super) fn span_of(&self, path: &str) -> Range<usize> {
        let mut table = self.root.get_ref();
        let mut span = 0..0;
        let mut rest = path;
        loop {
            let (found, after) = step(table, rest);
            let Some((key, value)) = found else { return span };
            (span, rest) = (shown(key.span(), value), after);
            let mut value = value.get_ref();
            while let DeValue::Array(items) = value {
                let (index, after) = rest.split_once('.').unwrap_or((rest, ""));
                let Some(item) = index.parse().ok().and_then(|index: usize| items.get(index)) else {
                    return span;
                };
                (span, rest, value) = (item.span(), after, item.get_ref());
            }
            match value {
                DeValue::Table(inner) if !rest.is_empty() => table = inner,
                _ => return span,
            }
        }
    }

    /// Whether the file itself says something at `path`.
    pub(super) fn says(&self, path: &str) -> bool {
        let mut table = self.root.get_ref();
        let mut rest = path;
        loop {
            let (found, after) = step(table, rest);
            match found.map(|(_, value)| value.get_ref()) {
                Some(DeValue::Table(inner)) if !after.is_empty() => (table, rest) = (inner, after),
                Some(_) => return after.is_empty(),
                None => return false,
            }
        }
    }

    /// The text between `range` of the file.
    pub(super) fn source(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Where `part` of the string at `span` is; all of the string where that cannot be told.
    pub(super) fn within(&self, span: &Range<usize>, part: &Range<usize>) -> Range<usize> {
        if self.filled_in.contains(span) {
            return span.clone();
        }
        let raw = self.source(span.clone());
        let start = span.start.saturating_add(raw_offset(raw, part.start));
        let end = span.start.saturating_add(raw_offset(raw, part.end));
        start..end.max(start)
    }

    fn fill_in(
        &mut self,
        value: &mut Spanned<DeValue<'a>>,
        sources: &Sources<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let span = value.span();
        match value.as_mut() {
            DeValue::String(text) => match interpolate::fill_in(text, sources) {
                Ok(None) => {}
                Ok(Some(filled)) => {
                    *text = filled.into();
                    self.filled_in.push(span);
                }
                Err(fault) => problems.push(Problem {
                    span: self.within(&span, &fault.at),
                    message: fault.message,
                    help: fault.help,
                }),
            },
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    self.fill_in(item, sources, problems);
                }
            }
            DeValue::Table(table) => {
                for (_, inner) in table.iter_mut() {
                    self.fill_in(inner, sources, problems);
                }
            }
            _ => {}
        }
    }
}

/// Where in the tree an error is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    /// The names and positions that lead there.
    pub(super) path: Vec<String>,
    /// Whether the error is about the name rather than the value.
    pub(super) is_key: bool,
}

impl Place {
    /// The path as [`Document::span_of`] takes it.
    pub(super) fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// The last name.
    pub(super) fn key(&self) -> &str {
        self.path.iter().rev().find(|step| step.parse::<usize>().is_err()).map_or("", String::as_str)
    }
}

type Entry<'t, 'a> = (&'t Spanned<std::borrow::Cow<'a, str>>, &'t Spanned<DeValue<'a>>);

/// The entry that `path` starts with, and the rest of the path. Names may contain dots themselves.
fn step<'t, 'a, 'p>(table: &'t DeTable<'a>, path: &'p str) -> (Option<Entry<'t, 'a>>, &'p str) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match table.get_key_value(first) {
        Some(entry) => (Some(entry), rest),
        None => (table.get_key_value(path), ""),
    }
}

fn shown(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    if value.get_ref().is_table() || value.get_ref().is_array() { key } else { value.span() }
}

fn place_in(table: &DeTable<'_>, span: &Range<usize>) -> Option<Place> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref().to_string();
        if key.span() == *span && value.span() != *span {
            return Some(Place { path: vec![name], is_key: true });
        }
        let mut place = place_in_value(value, span)?;
        place.path.insert(0, name);
        Some(place)
    })
}

fn place_in_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Place> {
    if value.span() == *span {
        return Some(Place::default());
    }
    match value.get_ref() {
        DeValue::Table(table) => place_in(table, span),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let mut place = place_in_value(item, span)?;
            place.path.insert(0, index.to_string());
            Some(place)
        }),
        _ => None,
    }
}

/// Takes away what was reported: an unknown key alone; otherwise the section, since what is missing after taking
/// away a wrong value would be reported as well.
fn remove(root: &mut DeTable<'_>, place: &Place) -> bool {
    let Some(section) = place.path.first() else { return false };
    if place.is_key && place.path.len() > 1 {
        let inner = root.get_mut(section.as_str());
        return inner.is_some_and(|inner| remove_key(inner, place.path.get(1..).unwrap_or_default()));
    }
    root.remove(section.as_str()).is_some()
}

fn remove_key(value: &mut Spanned<DeValue<'_>>, path: &[String]) -> bool {
    match (value.as_mut(), path) {
        (DeValue::Table(table), [key]) => table.remove(key.as_str()).is_some(),
        (DeValue::Table(table), [key, rest @ ..]) => {
            table.get_mut(key.as_str()).is_some_and(|inner| remove_key(inner, rest))
        }
        (DeValue::Array(items), [index, rest @ ..]) => {
            let item = index.parse().ok().and_then(|index: usize| items.get_mut(index));
            item.is_some_and(|item| remove_key(item, rest))
        }
        _ => false,
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or_default();
    let message = error.message().to_owned();
    let help = if message.starts_with("duplicate key") {
        "a key can be set once in its section: remove one of the two".to_owned()
    } else if text
        .get(span.start..)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '/'))
    {
        "text is written in quotes: key = \"value\"".to_owned()
    } else {
        "the file is TOML: sections are [name], entries key = value, text is written in quotes".to_owned()
    };
    Problem { span, message, help }
}

/// The place in a string as written, quotes and escapes included, of the byte `decoded` of what it means.
fn raw_offset(raw: &str, decoded: usize) -> usize {
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let mut at = quotes;
    if quotes == 3 {
        let body = raw.get(quotes..).unwrap_or_default();
        at += if body.starts_with("\r\n") { 2 } else { usize::from(body.starts_with('\n')) };
    }
    if !raw.starts_with('"') {
        return at.saturating_add(decoded);
    }
    let mut meant = 0;
    let mut chars = raw.get(at..).unwrap_or_default().chars();
    while meant < decoded {
        let Some(first) = chars.next() else { break };
        if first != '\\' {
            (at, meant) = (at + first.len_utf8(), meant + first.len_utf8());
            continue;
        }
        let digits = match chars.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let code: String = chars.by_ref().take(digits).collect();
        let width = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).map_or(1, char::len_utf8);
        (at, meant) = (at + 2 + digits, meant + width);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document<'_> {
        let sources = Sources { variable: &|_| None, file: &|_| Err("none".into()) };
        Document::parse(text, &sources).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[track_caller]
    fn finds(text: &str, path: &str, expected: &str) {
        let document = document(text);
        assert_eq!(document.source(document.span_of(path)), expected);
    }

    #[test]
    fn a_path_leads_to_its_value() {
        finds("a = 1\n[b]\nc = \"x\"", "b.c", "\"x\"");
        finds("[[b.c]]\nd = 1\n[[b.c]]\nd = 2", "b.c.1.d", "2");
        finds("[b]\nc = [\"x\", \"y\"]", "b.c.1", "\"y\"");
        finds("[b]\n\"c.d\" = 3", "b.c.d", "3");
    }

    #[test]
    fn what_is_not_said_is_shown_by_what_is() {
        finds("[b]\nc = 1", "b.d", "b");
        finds("[b]\nc = 1", "c", "");
        assert!(document("[b]\nc = 1").says("b.c"));
        assert!(!document("[b]\nc = 1").says("b.d"));
    }

    #[track_caller]
    fn inside(text: &str, part: Range<usize>, expected: &str) {
        let document = document(text);
        let span = document.within(&document.span_of("a"), &part);
        assert_eq!(document.source(span), expected);
    }

    #[test]
    fn places_inside_strings_survive_escapes() {
        inside("a = 'xyz'", 1..2, "y");
        inside("a = \"x\\\"yz\"", 2..3, "y");
        inside("a = \"\\u00e9yz\"", 2..3, "y");
        inside("a = '''\nxyz'''", 1..2, "y");
        inside("a = \"xyz\"", 3..3, "");
    }
}
