//! A schema registry, asked over Confluent's REST API (Confluent, Apicurio under `/apis/ccompat/v7`, Karapace).

use std::time::Duration;

use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::Client;
pub use super::http::Credentials;
use super::{Format, Known, Reference, SCHEMA_BYTES_MAX, Schema, Subject, SubjectState};

/// The most schemas that one may refer to, directly or not.
const REFERENCES_MAX: usize = 64;
/// What a part of a path may have as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A registry.
pub struct Registry {
    http: Client,
}

/// What came of asking for a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A schema that was not known.
    Fetched,
    /// The schema that was known.
    Unchanged,
    /// There is no such subject.
    Missing,
    /// A schema that cannot be used.
    Unusable,
    /// No answer, or none that says anything of the subject.
    Failed,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fetched, Self::Unchanged, Self::Missing, Self::Unusable, Self::Failed];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Unchanged => "unchanged",
            Self::Missing => "missing",
            Self::Unusable => "unusable",
            Self::Failed => "failed",
        }
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    id: u32,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    schema: String,
    #[serde(default)]
    references: Option<Vec<Pointer>>,
}

#[derive(Clone, Deserialize)]
struct Pointer {
    name: String,
    subject: String,
    version: u32,
}

impl Registry {
    /// The registry at `url`; see [`Credentials`]. The error says what cannot be.
    pub fn new(
        url: &str,
        credentials: &Credentials,
        ca: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, String> {
        Ok(Self { http: Client::new(url, credentials, ca, timeout)? })
    }

    /// Asks for the newest schema of `subject` and notes the answer there. Cancel safe.
    pub async fn refresh(&self, subject: &Subject, now_ms: impl Fn() -> u64) -> Answer {
        let known = subject.known().map(|known| known.id);
        match self.latest(subject.name(), subject.format(), known).await {
            Ok(None) => {
                subject.confirm(None, now_ms());
                Answer::Unchanged
            }
            Ok(new) => {
                subject.confirm(new, now_ms());
                Answer::Fetched
            }
            Err(state) => {
                let answer = match state {
                    SubjectState::Missing => Answer::Missing,
                    SubjectState::Unusable(_) => Answer::Unusable,
                    _ => Answer::Failed,
                };
                subject.fail(state);
                answer
            }
        }
    }

    /// The newest schema, or `None` if it is the one that is known.
    async fn latest(
        &self,
        subject: &str,
        format: Format,
        known: Option<u32>,
    ) -> Result<Option<Known>, SubjectState> {
        let version: Version = self.get(&path(subject, "latest")).await?;
        if Some(version.id) == known {
            return Ok(None);
        }
        let is = match version.schema_type.as_deref() {
            None | Some("AVRO") => Some(Format::Avro),
            Some("JSON") => Some(Format::Json),
            Some(_) => None,
        };
        if is != Some(format) {
            let is = version.schema_type.as_deref().unwrap_or("AVRO");
            return Err(SubjectState::Unusable(format!(
                "it is of the type {is}, and its route says {format:?}"
            )));
        }
        let references = self.references(version.references.unwrap_or_default()).await?;
        let schema = Schema::parse(format, &version.schema, &references).map_err(SubjectState::Unusable)?;
        Ok(Some(Known { id: version.id, schema }))
    }

    /// What a schema refers to, directly or not, each once.
    async fn references(&self, mut wanted: Vec<Pointer>) -> Result<Vec<Reference>, SubjectState> {
        let mut found: Vec<Reference> = Vec::new();
        let mut bytes = 0;
        while let Some(Pointer { name, subject, version }) = wanted.pop() {
            if found.iter().any(|known| known.name == name) {
                continue;
            }
            let Version { schema, references, .. } = self.get(&path(&subject, &version.to_string())).await?;
            bytes += schema.len();
            if found.len() == REFERENCES_MAX || bytes > SCHEMA_BYTES_MAX {
                return Err(SubjectState::Unusable("it refers to too many others".into()));
            }
            wanted.extend(references.unwrap_or_default());
            found.push(Reference { name, text: schema });
        }
        Ok(found)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, SubjectState> {
        let (status, body) = self.http.get(path).await.map_err(SubjectState::Unanswered)?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|error| SubjectState::Unanswered(format!("its answer is not a schema: {error}"))),
            // Whoever does not know the path says 404 too, but with no error code of the API.
            StatusCode::NOT_FOUND if is_missing(&body) => Err(SubjectState::Missing),
            status => Err(SubjectState::Unanswered(format!("it said {status}"))),
        }
    }
}

/// Whether a 404 says that there is no such subject (40401) or version of it (40402), or that all were deleted.
fn is_missing(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        error_code: u32,
    }
    serde_json::from_slice::<Said>(body).is_ok_and(|said| (40_400..40_500).contains(&said.error_code))
}

fn path(subject: &str, version: &str) -> String {
    format!("/subjects/{}/versions/{version}", utf8_percent_encode(subject, PLAIN))
}

#[cfg(test)]
#[cfg(feature = "schemas")]
mod tests;
