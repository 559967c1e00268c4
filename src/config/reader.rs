//! TOML text in, typed fields out, with every problem collected: its file, line, field and a sentence.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a configuration, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; absent when the problem is about the whole.
    pub line: Option<usize>,
    /// The field, e.g. `camera[2].url`; empty when the problem is about the whole.
    pub field: String,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Problem {
    /// A problem that has no line: found after reading, or about the whole.
    pub fn of(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { line: None, field: field.into(), sentence: sentence.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.sentence)
    }
}

/// Collects problems while a document is read, and remembers every key that was asked for.
pub(crate) struct Report<'t> {
    text: &'t str,
    pub(crate) problems: Vec<Problem>,
    pub(crate) keys: BTreeSet<String>,
}

impl<'t> Report<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), keys: BTreeSet::new() }
    }

    pub(crate) fn add(&mut self, offset: usize, field: &str, sentence: impl Into<String>) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        self.problems.push(Problem { line: Some(line), field: field.to_owned(), sentence: sentence.into() });
    }
}

/// A value with the place it stands, for problems found later.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) offset: usize,
}

/// The document's table; syntax errors are reported, what could be read is returned.
pub(crate) fn parse<'t>(report: &mut Report<'t>) -> DeTable<'t> {
    let (table, errors) = DeTable::parse_recoverable(report.text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        report.add(offset, "", format!("not valid TOML: {}", error.message().replace('\n', "; ")));
    }
    table.into_inner()
}

/// One table being read: fields are asked for by name, and what nobody asked for is an unknown key.
pub(crate) struct Fields<'a, 't> {
    path: String,
    generic_path: String,
    table: &'a DeTable<'t>,
    offset: usize,
    known: Vec<&'static str>,
}

impl<'a, 't> Fields<'a, 't> {
    pub(crate) fn root(table: &'a DeTable<'t>) -> Self {
        Self { path: String::new(), generic_path: String::new(), table, offset: 0, known: Vec::new() }
    }

    /// Path of `key` in this table, as a person would write it.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    fn ask(&mut self, key: &'static str, report: &mut Report<'t>) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.push(key);
        report.keys.insert(if self.generic_path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.generic_path)
        });
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn wrong_type(&self, key: &str, want: &str, value: &Spanned<DeValue<'t>>, report: &mut Report<'t>) {
        let got = value.get_ref().type_str();
        report.add(value.span().start, &self.path_of(key), format!("must be {want}, not {} {got}", article(got)));
    }

    /// A sub-table; an absent one reads as empty, so that defaults and the list of known keys hold all the same.
    pub(crate) fn table<'b>(
        &mut self,
        key: &'static str,
        empty: &'b DeTable<'t>,
        report: &mut Report<'t>,
    ) -> Fields<'b, 't>
    where
        'a: 'b,
    {
        let (table, offset) = match self.ask(key, report) {
            None => (empty, 0),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => (table, value.span().start),
                _ => {
                    self.wrong_type(key, &format!("a table ([{key}])"), value, report);
                    (empty, 0)
                }
            },
        };
        Fields { path: self.path_of(key), generic_path: key.to_owned(), table, offset, known: Vec::new() }
    }

    /// An array of tables (`[[key]]`).
    pub(crate) fn tables(&mut self, key: &'static str, report: &mut Report<'t>) -> Vec<Self> {
        let Some(value) = self.ask(key, report) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, &format!("a list of tables: write [[{key}]] with two brackets"), value, report);
            return Vec::new();
        };
        let mut all = Vec::new();
        for (index, item) in array.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => all.push(Fields {
                    path: format!("{key}[{}]", index + 1),
                    generic_path: key.to_owned(),
                    table,
                    offset: item.span().start,
                    known: Vec::new(),
                }),
                _ => self.wrong_type(key, "a list of tables", item, report),
            }
        }
        all
    }

    pub(crate) fn string(&mut self, key: &'static str, report: &mut Report<'t>) -> Option<Placed<String>> {
        let value = self.ask(key, report)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Placed { value: text.to_string(), offset: value.span().start }),
            _ => {
                self.wrong_type(key, "a text in quotes", value, report);
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, key: &'static str, default: bool, report: &mut Report<'t>) -> bool {
        let Some(value) = self.ask(key, report) else { return default };
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            _ => {
                self.wrong_type(key, "true or false", value, report);
                default
            }
        }
    }

    /// A list of texts, each where it stands; absent: `None`. `example` shows how to write one.
    pub(crate) fn strings(
        &mut self,
        key: &'static str,
        example: &str,
        report: &mut Report<'t>,
    ) -> Option<Vec<Placed<String>>> {
        let value = self.ask(key, report)?;
        let want = format!("a list of texts in quotes, e.g. {key} = {example}");
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, &want, value, report);
            return None;
        };
        if array.is_empty() {
            report.add(value.span().start, &self.path_of(key), format!("is an empty list; must be {want}"));
        }
        let mut all = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::String(text) => all.push(Placed { value: text.to_string(), offset: item.span().start }),
                _ => self.wrong_type(key, &want, item, report),
            }
        }
        Some(all)
    }

    /// A whole number within `range`; `unit` is for the sentence, e.g. `seconds`.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        unit: &str,
        report: &mut Report<'t>,
    ) -> u32 {
        self.optional_integer(key, range, unit, report).unwrap_or(default)
    }

    /// As [`Fields::integer`], for a key whose default comes from elsewhere; `None` also when it is there but wrong.
    pub(crate) fn optional_integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        unit: &str,
        report: &mut Report<'t>,
    ) -> Option<u32> {
        self.number(key, range, &format!("a whole number of {unit}"), &format!(" {unit}"), report)
    }

    /// A port number within `range`; `None` when it is absent or wrong. `off` says what 0 means, if it may be 0.
    pub(crate) fn port(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u16>,
        off: &str,
        report: &mut Report<'t>,
    ) -> Option<u16> {
        let range = u32::from(*range.start())..=u32::from(*range.end());
        let port = self.number(key, range, &format!("a port number{off}"), off, report)?;
        u16::try_from(port).ok()
    }

    fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        want: &str,
        unit: &str,
        report: &mut Report<'t>,
    ) -> Option<u32> {
        let value = self.ask(key, report)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, want, value, report);
            return None;
        };
        let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let within = parsed.and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
        if within.is_none() {
            let sentence = format!("is {}; it must be {} to {}{unit}", number.as_str(), range.start(), range.end());
            report.add(value.span().start, &self.path_of(key), sentence);
        }
        within
    }

    /// Reports what is missing; a key that is there but wrong was reported already.
    pub(crate) fn missing(&self, key: &str, why: &str, report: &mut Report<'t>) {
        if self.table.iter().any(|(name, _)| name.get_ref() == key) {
            return;
        }
        report.add(self.offset, &self.path_of(key), format!("is missing: {why}"));
    }

    /// Reports every key that nobody asked for, with the nearest one that exists.
    pub(crate) fn finish(self, report: &mut Report<'t>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let hint = nearest(name, &self.known).map_or_else(
                || format!("known keys here: {}", self.known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            report.add(key.span().start, &self.path_of(name), format!("unknown key; {hint}"));
        }
    }
}

/// The candidate that a typing mistake of `word` most likely meant.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= word.chars().count() / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
