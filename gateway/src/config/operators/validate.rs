//! What the data of a route's events must be like.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::findings::Findings;
use crate::config::routes::Route;
use crate::record::Encoding;
use crate::schema::{Format, SCHEMA_BYTES_MAX, Schema, Wanted};

/// The most schemas by type of one route.
const SCHEMAS_MAX: usize = 1_000;

/// What the data of a route's events must be like: as a file says, or as a registry does. What is not is refused as `schema`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Validate {
    /// A JSON Schema for events of every type that `schemas` does not name.
    pub json_schema: Option<SchemaFile>,
    /// JSON Schemas by the type of events.
    pub schemas: BTreeMap<String, SchemaFile>,
    /// The schema is in `[schema_registry]`.
    pub registry: bool,
    /// Its subject there; the topic's name and `-value` if not written.
    pub subject: Option<String>,
    /// The language of its schemas.
    pub format: Option<Format>,
    /// Whether values begin with the schema's number; with Avro they do.
    pub framed: Option<bool>,
    /// It refuses nothing and counts what it would have refused.
    pub shadow: bool,
}

/// A schema in a file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(from = "PathBuf")]
pub struct SchemaFile {
    path: PathBuf,
    /// Its content, or why there is none.
    content: Result<String, String>,
}

impl From<PathBuf> for SchemaFile {
    fn from(path: PathBuf) -> Self {
        Self { path, content: Err("it was not read".into()) }
    }
}

impl SchemaFile {
    /// Where it is, as it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it, or why it cannot be used.
    pub fn parse(&self) -> Result<Schema, String> {
        let text = self.content.as_ref().map_err(Clone::clone)?;
        Schema::parse(Format::Json, text, &[])
    }

    fn read(&mut self, beside: &Path) {
        let read = || -> std::io::Result<String> {
            let mut text = String::new();
            // One more than there may be: then it is too large, which is said where it is parsed.
            File::open(beside.join(&self.path))?
                .take(SCHEMA_BYTES_MAX as u64 + 1)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        self.content = read().map_err(|error| format!("cannot be read: {error}"));
    }
}

impl Validate {
    /// Reads the files that it names, relative to `beside`. What cannot be read is refused by the check.
    pub(in crate::config) fn read(&mut self, beside: &Path) {
        self.json_schema.iter_mut().chain(self.schemas.values_mut()).for_each(|file| file.read(beside));
    }

    /// The subject that it judges by, if it is in a registry; `topic` is the route's.
    pub fn wanted(&self, topic: &str) -> Option<Wanted> {
        let format = self.format.filter(|_| self.registry)?;
        let name = self.subject.clone().unwrap_or_else(|| format!("{topic}-value"));
        Some(Wanted { name, format })
    }

    /// Whether values begin with the number of their schema.
    pub fn is_framed(&self) -> bool {
        self.registry && self.framed.unwrap_or(self.format == Some(Format::Avro))
    }
}

pub(super) fn check(index: usize, route: &Route, findings: &mut Findings<'_>) {
    let Some(validate) = &route.validate else { return };
    let at = format!("routes.{index}.validate");
    let has_files = validate.json_schema.is_some() || !validate.schemas.is_empty();
    match (has_files, validate.registry) {
        (true, true) => {
            findings.refuse(&at, "schemas in files and in a registry", "write one of them");
        }
        (false, false) => {
            let help = "say where it is: json_schema = \"a.json\", or registry = true";
            findings.refuse(&at, "validate without a schema", help);
        }
        (true, false) => check_files(&at, validate, findings),
        (false, true) => check_registry(&at, route, validate, findings),
    }
    let only = [
        ("subject", validate.subject.is_some()),
        ("format", validate.format.is_some()),
        ("framed", validate.framed.is_some()),
    ];
    for (key, _) in only.into_iter().filter(|(_, is_written)| *is_written && !validate.registry) {
        let help = "write registry = true, or remove the line";
        findings.refuse(&format!("{at}.{key}"), format!("`{key}` is for schemas in a registry"), help);
    }
}

fn check_files(at: &str, validate: &Validate, findings: &mut Findings<'_>) {
    let by_type = validate.schemas.iter().map(|(kind, file)| (format!("{at}.schemas.{kind}"), file));
    let other = validate.json_schema.iter().map(|file| (format!("{at}.json_schema"), file));
    for (place, file) in other.chain(by_type) {
        if let Err(why) = file.parse() {
            let message = format!("the schema {}: {why}", file.path().display());
            findings.refuse(&place, message, "a JSON Schema, in a file whose path is relative to this one");
        }
    }
    if validate.schemas.len() > SCHEMAS_MAX {
        let message = format!("{} schemas in one route", validate.schemas.len());
        findings.refuse(&format!("{at}.schemas"), message, format!("at most {SCHEMAS_MAX}"));
    }
}

fn check_registry(at: &str, route: &Route, validate: &Validate, findings: &mut Findings<'_>) {
    if validate.format.is_none() {
        findings.refuse(at, "`format` is missing", "write format = \"avro\", or format = \"json\"");
    }
    if validate.subject.as_ref().is_some_and(|subject| !(1..=255).contains(&subject.len())) {
        findings.refuse(&format!("{at}.subject"), "a subject has 1 to 255 bytes", "such as \"orders-value\"");
    }
    if validate.format == Some(Format::Avro) && validate.framed == Some(false) {
        let help = "remove the line: without its schema's number nobody could read such a record";
        findings.refuse(&format!("{at}.framed"), "Avro is always framed", help);
    }
    if !validate.is_framed() {
        return;
    }
    if route.encoding != Encoding::Binary {
        let help = "write encoding = \"binary\" in the route: attributes are headers then";
        findings.refuse(at, "a framed value is the event's data alone", help);
    }
    if route.aggregate.is_some() {
        let help =
            "validate without `framed`: what a group of events becomes is no longer what its schema is for";
        findings.refuse(at, "what is aggregated cannot be framed", help);
    }
    if validate.shadow {
        let help = "what does not fit cannot be written: validate without `framed` as a shadow first";
        findings.refuse(&format!("{at}.shadow"), "what is framed cannot be a shadow", help);
    }
}
