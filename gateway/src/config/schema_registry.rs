//! Where schemas come from: a registry that speaks Confluent's REST API.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::findings::Findings;
use super::{Age, Config};
use crate::schema::registry::{Credentials, Registry};
use crate::schema::{IS_BUILT_IN, Unreachable};

/// The largest file of authorities, in bytes.
const CA_BYTES_MAX: u64 = 1024 * 1024;

/// A schema registry.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SchemaRegistry {
    /// Where it is; what its API's paths begin with included.
    pub url: String,
    /// With `password`: who the gateway is.
    #[serde(default)]
    pub username: Option<String>,
    /// Of `username`.
    #[serde(default)]
    pub password: Option<String>,
    /// A bearer token, in place of the two.
    #[serde(default)]
    pub token: Option<String>,
    /// The authorities that are trusted, in PEM; the system's if not written.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// How long an answer may take.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// How often the newest schemas are asked for.
    #[serde(default = "default_refresh")]
    pub refresh: Age,
    /// What becomes of events whose schema was never fetched.
    #[serde(default)]
    pub on_unreachable: Unreachable,
}

fn default_timeout_ms() -> u32 {
    5_000
}

fn default_refresh() -> Age {
    Age(Duration::from_secs(300))
}

impl SchemaRegistry {
    /// Who asks it. Reads the file of authorities; the error says what cannot be.
    pub fn client(&self) -> Result<Registry, String> {
        let credentials = match (&self.token, &self.username) {
            (Some(token), _) => Credentials::Bearer(token.clone()),
            (None, Some(name)) => Credentials::Basic(name.clone(), self.password.clone().unwrap_or_default()),
            (None, None) => Credentials::None,
        };
        let timeout = Duration::from_millis(u64::from(self.timeout_ms));
        Registry::new(&self.url, &credentials, self.authorities()?.as_deref(), timeout)
    }

    fn authorities(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = &self.ca else { return Ok(None) };
        let mut pem = Vec::new();
        let read = File::open(path).and_then(|file| file.take(CA_BYTES_MAX).read_to_end(&mut pem));
        read.map(|_| Some(pem)).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    if let Some(registry) = &config.schema_registry {
        check_section(registry, findings);
    }
    let subjects = config.subjects();
    for (index, route) in config.routes.iter().enumerate() {
        let Some(validate) = route.validate.as_ref().filter(|validate| validate.registry) else { continue };
        let at = format!("routes.{index}.validate");
        let Some(registry) = &config.schema_registry else {
            let help = "write the section [schema_registry] with its url";
            findings.refuse(&at, "there is no registry to ask", help);
            continue;
        };
        if !IS_BUILT_IN {
            findings.refuse(
                &at,
                "this gateway was built without the feature `schemas`",
                "build it with that feature",
            );
        }
        if validate.is_framed() && config.kafka.is_none() {
            let help = "add [kafka], or validate with format = \"json\" and without `framed`";
            findings.refuse(&at, "without [kafka] the log keeps whole events, which cannot be framed", help);
        }
        if validate.is_framed() && registry.on_unreachable == Unreachable::Pass {
            findings.refuse_together(
                &["schema_registry.on_unreachable", &at],
                format!("route {} cannot frame a value whose schema was never fetched", index + 1),
                "write on_unreachable = \"hold\" or \"refuse\"",
            );
        }
        let wanted = validate.wanted(&route.topic);
        let is_other = wanted.is_some_and(|wanted| {
            subjects.iter().any(|other| other.name == wanted.name && other.format != wanted.format)
        });
        if is_other {
            let help = "a subject has schemas of one language";
            findings.refuse(&at, "another route has this subject with another `format`", help);
        }
    }
}

fn check_section(registry: &SchemaRegistry, findings: &mut Findings<'_>) {
    if !(1..=60_000).contains(&registry.timeout_ms) {
        findings.refuse("schema_registry.timeout_ms", "an answer cannot take so long", "1 to 60000");
    }
    let refresh = registry.refresh.0;
    if refresh < Duration::from_secs(1) || refresh > Duration::from_secs(86_400) {
        let message = format!("refresh cannot be {}", registry.refresh);
        findings.refuse("schema_registry.refresh", message, "from \"1s\" to \"1d\", such as \"5m\"");
    }
    if registry.token.is_some() && registry.username.is_some() {
        findings.refuse("schema_registry.token", "a token and a name", "write one of them");
    }
    if registry.username.is_some() != registry.password.is_some() {
        let help = "both, such as password = \"file:/run/secrets/registry\"";
        findings.refuse_together(
            &["schema_registry.username", "schema_registry.password"],
            "`username` and `password` belong together",
            help,
        );
    }
    if let Err(why) = registry.client() {
        let at = if registry.ca.is_some() && !why.contains(&registry.url) { "ca" } else { "url" };
        let help = "such as url = \"http://registry:8081\", or \"https://registry/apis/ccompat/v7\"";
        findings.refuse(
            &format!("schema_registry.{at}"),
            why,
            if at == "url" { help } else { "a file in PEM" },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }

    const REGISTRY: &str = "[schema_registry]\nurl = \"http://localhost:8081\"\n";
    const ROUTE: &str = "[[routes]]\ntopic = \"a\"\n";

    #[test]
    fn what_cannot_work_is_refused_in_its_place() {
        let kafka = "[kafka]\nbrokers = \"localhost:9092\"\n";
        let avro = "encoding = \"binary\"\nvalidate = { registry = true, format = \"avro\" }\n";
        assert!(Config::parse("t.toml", &format!("{kafka}{REGISTRY}{ROUTE}{avro}")).is_ok());
        for (text, expected) in [
            (format!("{kafka}{ROUTE}{avro}"), "there is no registry to ask"),
            (format!("{REGISTRY}{ROUTE}{avro}"), "the log keeps whole events, which cannot be framed"),
            (format!("{kafka}{REGISTRY}on_unreachable = \"pass\"\n{ROUTE}{avro}"), "was never fetched"),
            (
                format!("{kafka}{REGISTRY}{ROUTE}{}", avro.replace("binary", "structured")),
                "write encoding = \"binary\"",
            ),
            (
                format!("{kafka}{REGISTRY}{ROUTE}{}", avro.replace(" }", ", framed = false }")),
                "Avro is always framed",
            ),
            (
                format!("{kafka}{REGISTRY}{ROUTE}{}", avro.replace(" }", ", shadow = true }")),
                "cannot be a shadow",
            ),
            (format!("{kafka}{REGISTRY}{ROUTE}validate = {{ registry = true }}"), "`format` is missing"),
            (format!("{ROUTE}validate = {{}}"), "validate without a schema"),
            (
                format!("{ROUTE}validate = {{ json_schema = \"nowhere.json\" }}"),
                "the schema nowhere.json: cannot be read",
            ),
            (
                format!("{ROUTE}validate = {{ json_schema = \"a\", subject = \"b\" }}"),
                "`subject` is for schemas in a registry",
            ),
            (
                format!("{REGISTRY}{ROUTE}validate = {{ json_schema = \"a\", registry = true }}"),
                "write one of them",
            ),
            (REGISTRY.replace("http:", "ftp:"), "begins neither with http://"),
            (format!("{REGISTRY}ca = \"nowhere.pem\""), "cannot read nowhere.pem"),
            (format!("{REGISTRY}username = \"me\""), "belong together"),
            (format!("{REGISTRY}refresh = \"0s\""), "refresh cannot be 0s"),
            (format!("{REGISTRY}timeout_ms = 0"), "1 to 60000"),
        ] {
            refused(&text, expected);
        }
    }

    #[test]
    fn schemas_are_looked_for_beside_the_configuration_and_shown_where_they_are_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("t.toml").display().to_string();
        std::fs::write(directory.path().join("good.json"), r#"{"type":"object"}"#).unwrap();
        std::fs::write(directory.path().join("bad.json"), r#"{"properties":{"a":{"$ref":"http://e/x"}}}"#)
            .unwrap();
        std::fs::write(directory.path().join("large.json"), " ".repeat(crate::schema::SCHEMA_BYTES_MAX + 9))
            .unwrap();
        let text = |file: &str| format!("{ROUTE}validate.schemas = {{ \"order.placed\" = \"{file}\" }}");
        let config = Config::parse(&name, &text("good.json"));
        assert!(config.is_ok(), "{}", config.unwrap_err());
        for (file, expected) in [
            (
                "bad.json",
                "the schema bad.json: at `/properties/a/$ref`: the reference `http://e/x` leads out of the schema",
            ),
            ("large.json", "1048576 are the most"),
        ] {
            let said = Config::parse(&name, &text(file)).unwrap_err().to_string();
            assert!(said.contains(expected) && said.contains("t.toml:3:"), "{expected} is not in\n{said}");
        }
        let before = config.unwrap();
        std::fs::write(directory.path().join("good.json"), r#"{"type":"string"}"#).unwrap();
        assert_ne!(
            before,
            Config::parse(&name, &text("good.json")).unwrap(),
            "another schema is another configuration"
        );
    }
}
