//! What only the libraries and the file system can judge of a configuration, shown where it says so.

use std::path::Path;

use anyhow::Error;

use crate::config::{ConfigError, Loaded};
use crate::deliver::kafka::{KafkaError, KafkaSink};
use crate::listen::tls::{Certificates, TlsError};

/// Opens what the configuration names, and has librdkafka judge its properties. Nothing is served or contacted.
pub(super) fn check(loaded: &Loaded) -> Result<(), ConfigError> {
    let config = &loaded.config;
    if config.tls.is_some() {
        Certificates::load(config.tls.as_ref(), super::wall_clock())
            .map_err(|error| of_tls(loaded, &error))?;
    }
    if let Some(kafka) = &config.kafka {
        KafkaSink::check(kafka, &config.kafka_topics()).map_err(|error| of_kafka(loaded, &error))?;
    }
    Ok(())
}

/// The error itself, or where it is the configuration's fault, that fault in its place.
pub(super) fn blame(loaded: &Loaded, error: Error) -> Error {
    if let Some(error) = error.downcast_ref::<TlsError>()
        && loaded.config.tls.is_some()
    {
        return of_tls(loaded, error).into();
    }
    match error.downcast_ref::<KafkaError>() {
        Some(KafkaError::Thread(_)) | None => error,
        Some(fault) => of_kafka(loaded, fault).into(),
    }
}

fn of_tls(loaded: &Loaded, error: &TlsError) -> ConfigError {
    let at = |path: &Path, reason: &str| format!("{}: {reason}", path.display());
    match error {
        TlsError::Certificate { path, reason } => {
            let help = "name a PEM file with the server's own certificate first; `tidegate certs` makes one for \
                        development";
            loaded.refuse("tls.certificate", &at(path, reason), help)
        }
        TlsError::Key { path, reason } => {
            loaded.refuse("tls.key", &at(path, reason), "name a PEM file with the certificate's private key")
        }
        TlsError::Mismatch { .. } => {
            loaded.refuse("tls.key", &error.to_string(), "name the key that the certificate was made for")
        }
        TlsError::Library(why) => loaded.refuse("tls", why, ""),
    }
}

fn of_kafka(loaded: &Loaded, error: &KafkaError) -> ConfigError {
    let key = match error {
        KafkaError::NoBrokers => "kafka.brokers".to_owned(),
        KafkaError::Topic(_) => "routes".to_owned(),
        KafkaError::Reserved { key, .. } | KafkaError::Unknown(key) | KafkaError::Invalid { key, .. } => {
            format!("kafka.properties.{key}")
        }
        KafkaError::Together(why) => {
            let properties = loaded.config.kafka.iter().flat_map(|kafka| kafka.properties.keys());
            let named = properties.filter(|key| why.contains(key.as_str())).max_by_key(|key| key.len());
            named.map_or("kafka.properties".to_owned(), |key| format!("kafka.properties.{key}"))
        }
        KafkaError::Thread(_) => "kafka".to_owned(),
    };
    loaded.refuse(&key, &error.to_string(), "")
}
