//! The fuzz targets on stable: over every vector, and over vectors that are damaged.

use proptest::prelude::*;
use serde_json::Value;
use tidegate_wire::fuzzing;

use super::{entries, unhex};

/// Every text and every stretch of bytes in the vectors, whatever it is there for.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for file in ["frames.json", "violations.json", "events.json", "bodies.json"] {
        for entry in entries::<Value>(file) {
            for name in ["hex", "json", "text", "input", "body", "body_hex"] {
                let Some(text) = entry[name].as_str() else {
                    continue;
                };
                seeds.push(if name.ends_with("hex") { unhex(text) } else { text.as_bytes().to_vec() });
            }
        }
    }
    seeds
}

fn all_targets(bytes: &[u8]) {
    fuzzing::binary_frames(bytes);
    fuzzing::json_frames(bytes);
    fuzzing::http_bodies(bytes);
}

#[test]
fn the_targets_hold_for_every_vector() {
    let seeds = seeds();
    assert!(seeds.len() > 500, "{}", seeds.len());
    for seed in &seeds {
        all_targets(seed);
        for choice in 0..=255 {
            fuzzing::http_bodies(&[&[choice], &b"a%20b\n"[..], seed].concat());
        }
        fuzzing::json_frames(&[br#"{"t":"ev","s":1,"e":["#, &seed[..], b"]}"].concat());
    }
}

/// One change to a vector.
fn damage(seed: &mut Vec<u8>, at: usize, byte: u8, how: u8) {
    let at = at % (seed.len() + 1);
    match how {
        0 => seed.truncate(at),
        1 => seed.insert(at, byte),
        _ if at == seed.len() => seed.push(byte),
        2 => seed[at] = byte,
        3 => seed[at] ^= 1 << (byte & 7),
        _ => drop(seed.remove(at)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn the_targets_hold_for_damaged_vectors(
        which in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        splice in any::<bool>(),
        damages in prop::collection::vec((any::<usize>(), any::<u8>(), 0..5u8), 1..4),
    ) {
        thread_local!(static SEEDS: Vec<Vec<u8>> = seeds());
        let mut seed = SEEDS.with(|seeds| which.get(seeds).clone());
        if splice {
            seed.extend(SEEDS.with(|seeds| other.get(seeds).clone()));
        }
        for (at, byte, how) in damages {
            damage(&mut seed, at, byte, how);
        }
        all_targets(&seed);
    }

    #[test]
    fn the_targets_hold_for_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all_targets(&bytes);
    }
}
