//! The layer table and the file sizes of `ARCHITECTURE.md`, held against the sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A part of the gateway and what of our own it may import. The first part whose path begins a file's path counts.
const LAYERS: &[(&str, &[&str])] = &[
    ("carrier.rs", &[]),
    ("outcome.rs", &[]),
    ("record", &[]),
    ("schema", &[]),
    ("config", &["record", "schema"]),
    ("metrics", &["carrier", "outcome"]),
    ("access", &["config", "record"]),
    ("rates", &["config", "metrics"]),
    ("pipeline", &["access", "config", "record", "schema"]),
    ("ticket.rs", &["outcome"]),
    ("deliver", &["config", "metrics", "outcome", "record", "ticket"]),
    ("listen/link.rs", &["access", "carrier", "rates"]),
    (
        "session",
        &[
            "access", "carrier", "config", "deliver", "listen", "metrics", "outcome", "pipeline", "rates",
            "record", "ticket",
        ],
    ),
    ("listen", &["access", "carrier", "config", "metrics", "rates"]),
    ("ops.rs", &["config", "metrics", "listen"]),
];

/// Anything goes here: these know everything.
const TOP: &[&str] = &["app", "cli", "lib.rs", "main.rs"];

fn sources() -> BTreeMap<String, String> {
    fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "cel/src", "wire/src", "tests"] {
        collect(&root.join(directory), &mut files);
    }
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The parts of our own that a source names after `crate::`.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for line in code {
        for after in line.split("crate::").skip(1) {
            found.extend(after.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_part_imports_only_from_below() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(within) = file.strip_prefix("src/") else { continue };
        if TOP.iter().any(|top| within.starts_with(top)) || within.contains("test") {
            continue;
        }
        let Some((part, allowed)) = LAYERS.iter().find(|(part, _)| within.starts_with(part)) else {
            wrong.push(format!("{file} is in no layer"));
            continue;
        };
        let own = part.split(['/', '.']).next().unwrap();
        for import in imports(&text) {
            if import != own && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{file} imports `{import}`, allowed are {allowed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sessions_see_links_and_sinks_as_traits_only() {
    for (file, text) in
        sources().iter().filter(|(file, _)| file.starts_with("src/session") && !file.contains("test"))
    {
        for line in
            text.lines().filter(|line| line.contains("crate::listen") || line.contains("crate::deliver"))
        {
            let by_trait = line.contains("crate::listen::link")
                || line.contains("crate::deliver::Sink")
                || line.contains("crate::deliver::{Health, Sink}");
            assert!(by_trait, "{file}: {line}");
        }
    }
}

#[test]
fn only_one_place_names_each_outside_library() {
    let homes = [
        ("rdkafka", "src/deliver/kafka"),
        ("jsonschema", "src/schema"),
        ("apache_avro", "src/schema"),
        ("wtransport", "src/listen/webtransport"),
        ("tokio_tungstenite", "src/listen/websocket"),
    ];
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("src/")) {
        for (library, home) in homes {
            let names = text.contains(&format!("use {library}")) || text.contains(&format!(" {library}::"));
            assert!(!names || file.starts_with(home), "{file} names {library}, which belongs to {home}");
        }
    }
}

#[test]
fn only_one_file_is_unsafe() {
    let unsafe_files: Vec<_> = sources()
        .iter()
        .filter(|(file, _)| !file.starts_with("tests/"))
        .filter(|(_, text)| text.contains("expect(unsafe_code") || text.contains("allow(unsafe_code"))
        .map(|(file, _)| file.clone())
        .collect();
    assert_eq!(unsafe_files, ["src/deliver/kafka/flush.rs"]);
}

#[test]
fn the_wire_and_the_pipeline_know_no_runtime_and_no_clock() {
    for (file, text) in
        sources().iter().filter(|(file, _)| file.starts_with("wire/src") || file.starts_with("src/pipeline"))
    {
        for word in ["tokio", "Instant::now", "SystemTime", "rdkafka"] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<_> = sources()
        .iter()
        .map(|(file, text)| (text.lines().count(), file.clone()))
        .filter(|(lines, _)| *lines > 600)
        .collect();
    assert!(long.is_empty(), "longer than 600 lines: {long:?}");
}

#[test]
fn main_only_starts_things() {
    assert!(sources()["src/main.rs"].lines().count() <= 60);
}
